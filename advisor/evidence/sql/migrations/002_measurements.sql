-- What was measured on this machine: append-only. Deleting adds an event, and so does undoing it.
CREATE TABLE run (
    run_id VARCHAR PRIMARY KEY, job_id VARCHAR NOT NULL, sweep_id VARCHAR NOT NULL, status VARCHAR NOT NULL,
    reason VARCHAR NOT NULL, device_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, seconds DOUBLE NOT NULL,
    architecture VARCHAR NOT NULL, request_key VARCHAR NOT NULL, verdict VARCHAR, verdict_reasons VARCHAR NOT NULL,
    -- what was really run, or was asked for where nothing ran; the same values stand in content
    target VARCHAR NOT NULL, runtime VARCHAR NOT NULL, precision VARCHAR NOT NULL, layout VARCHAR NOT NULL,
    batch_size INTEGER NOT NULL, img_size INTEGER, threads INTEGER,
    p50_ms DOUBLE, p90_ms DOUBLE, ci95_low_ms DOUBLE, ci95_high_ms DOUBLE,
    request JSON NOT NULL, -- as it was asked
    content JSON NOT NULL, -- the whole run but the raw times of its latency
    times_ms DOUBLE[] NOT NULL, saved_at TIMESTAMP NOT NULL DEFAULT current_timestamp
);
CREATE SEQUENCE event_number;
CREATE TABLE run_event (
    number BIGINT PRIMARY KEY DEFAULT nextval('event_number'), run_id VARCHAR NOT NULL,
    event VARCHAR NOT NULL CHECK (event IN ('deleted', 'restored')), saved_at TIMESTAMP NOT NULL DEFAULT current_timestamp
);
-- A finished sweep: the sentinel's p50 before and after it, and how far they are apart. A sweep that was resumed
-- has a row for each of its jobs.
CREATE TABLE sweep (
    sweep_id VARCHAR NOT NULL, job_id VARCHAR PRIMARY KEY, sentinel VARCHAR NOT NULL, before_ms DOUBLE, after_ms DOUBLE,
    drift DOUBLE, saved_at TIMESTAMP NOT NULL DEFAULT current_timestamp
);
-- Devices of machines that were measured here: what they are called.
CREATE TABLE machine (
    device_id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, kind VARCHAR NOT NULL, vendor VARCHAR NOT NULL,
    memory_gb DOUBLE, details JSON NOT NULL, saved_at TIMESTAMP NOT NULL DEFAULT current_timestamp
);
-- What a machine can do at one precision; the newest row of a device, precision and threads counts.
CREATE SEQUENCE roof_number;
CREATE TABLE roof (
    number BIGINT PRIMARY KEY DEFAULT nextval('roof_number'), device_id VARCHAR NOT NULL, precision VARCHAR NOT NULL,
    threads INTEGER NOT NULL, macs_per_s DOUBLE NOT NULL, bytes_per_s DOUBLE NOT NULL, saved_at TIMESTAMP NOT NULL DEFAULT current_timestamp
);
