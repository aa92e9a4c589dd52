"""Which image-classification network should I use on my device, within my budget?"""
