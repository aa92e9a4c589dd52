-- Builds the published tables from the registered frames (named raw_*), and what is derived from them.
CREATE TABLE sources AS SELECT * FROM raw_sources ORDER BY source_id;

CREATE TABLE devices AS
SELECT device_id, name, kind, vendor, TRY_CAST(memory_gb AS DOUBLE) AS memory_gb,
       CAST(accelerators AS INTEGER) AS accelerators, notes
FROM raw_devices ORDER BY device_id;

CREATE TABLE catalogue AS
SELECT * REPLACE (
    TRY_CAST(params_m AS DOUBLE) AS params_m, TRY_CAST(file_mb AS DOUBLE) AS file_mb,
    TRY_CAST(img_size AS INTEGER) AS img_size, TRY_CAST(test_img_size AS INTEGER) AS test_img_size,
    TRY_CAST(crop_pct AS DOUBLE) AS crop_pct, TRY_CAST(num_classes AS INTEGER) AS num_classes,
    TRY_CAST(imagenet_1k_only AS BOOLEAN) AS imagenet_1k_only, TRY_CAST(distilled AS BOOLEAN) AS distilled,
    TRY_CAST(extra_data_rank AS INTEGER) AS extra_data_rank, TRY_CAST(commercial AS BOOLEAN) AS commercial)
FROM raw_catalogue ORDER BY weights;

CREATE TABLE claims AS SELECT * FROM raw_claims;
CREATE TABLE near_timm AS SELECT * FROM raw_near_timm;

CREATE TABLE speed AS SELECT *, {speed_key} AS row_key FROM raw_speed ORDER BY device_id, architecture, row_id;
CREATE TABLE accuracy AS SELECT *, {accuracy_key} AS row_key FROM raw_accuracy ORDER BY architecture, tag, row_id;
CREATE TABLE complexity AS SELECT * FROM raw_complexity;
CREATE TABLE training_cost AS SELECT * FROM raw_training_cost;

-- MACs and activations of timm's own tables, one value an architecture and image size.
CREATE TABLE macs AS
SELECT architecture, CAST(img_size AS INTEGER) AS img_size,
       median(value) FILTER (metric = 'gmacs') AS gmacs, median(value) FILTER (metric = 'acts_m') AS acts_m
FROM complexity WHERE source_id = 'timm-benchmark' AND img_size IS NOT NULL GROUP BY ALL;
