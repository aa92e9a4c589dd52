-- The user's own results: append-only; row_key is a hash of the content, so the same row is kept once.
CREATE TABLE speed (
    row_key VARCHAR PRIMARY KEY, source_id VARCHAR NOT NULL, source_file VARCHAR NOT NULL, model VARCHAR NOT NULL,
    architecture VARCHAR NOT NULL, tag VARCHAR NOT NULL, device_id VARCHAR NOT NULL, task VARCHAR NOT NULL,
    runtime VARCHAR NOT NULL, software VARCHAR NOT NULL, threads VARCHAR NOT NULL, unit VARCHAR NOT NULL,
    precision VARCHAR NOT NULL, layout VARCHAR NOT NULL, batch_size DOUBLE, img_size DOUBLE,
    throughput_per_s DOUBLE, latency_ms DOUBLE, peak_memory_mb DOUBLE, suspect BOOLEAN NOT NULL,
    note VARCHAR NOT NULL, evidence VARCHAR NOT NULL, saved_at TIMESTAMP NOT NULL DEFAULT current_timestamp
);
CREATE TABLE accuracy (
    row_key VARCHAR PRIMARY KEY, source_id VARCHAR NOT NULL, source_file VARCHAR NOT NULL, model VARCHAR NOT NULL,
    architecture VARCHAR NOT NULL, tag VARCHAR NOT NULL, dataset VARCHAR NOT NULL, metric VARCHAR NOT NULL,
    value DOUBLE NOT NULL, img_size DOUBLE, crop_pct DOUBLE, interpolation VARCHAR NOT NULL,
    protocol VARCHAR NOT NULL, suspect BOOLEAN NOT NULL, note VARCHAR NOT NULL, evidence VARCHAR NOT NULL,
    saved_at TIMESTAMP NOT NULL DEFAULT current_timestamp
);
