-- Views of one connection over the published store and the user's own store, which is attached as `own`.
-- Runs of this advisor. The newest event says whether one is deleted. Where the sentinel of a run's sweep drifted by
-- more than 5 % between its beginning and its end, the machine changed meanwhile and all runs of the sweep are noisy.
CREATE TEMP VIEW own_run AS
SELECT r.* REPLACE (CASE WHEN w.drift > 0.05 AND r.verdict = 'steady' THEN 'noisy' ELSE r.verdict END AS verdict),
       w.drift, coalesce(e.event = 'deleted', false) AS deleted,
       CASE WHEN w.drift > 0.05 THEN 'The sentinel ' || w.sentinel || ' drifted by ' || round(100 * w.drift)::INTEGER
            || ' % over the sweep.' ELSE '' END AS drift_in_words
FROM own.run r
LEFT JOIN own.sweep w ON w.job_id = r.job_id AND w.sweep_id = r.sweep_id
LEFT JOIN (SELECT run_id, arg_max(event, number) AS event FROM own.run_event GROUP BY run_id) e ON e.run_id = r.run_id;

-- The user's own speeds without those of deleted runs. Interval and "steady" are the latency's: the rows of other batch
-- sizes and of training, timed more briefly, have neither, but are noisy where the run is.
-- A row of another machine's export has no run here; its note says whether it is noisy.
CREATE TEMP VIEW own_speed AS
SELECT 'own:' || left(s.row_key, 12) AS row_id,
       s.* REPLACE (CASE WHEN coalesce(r.drift_in_words, '') = '' THEN s.note WHEN s.note LIKE 'noisy: %'
                    THEN s.note || ' ' || r.drift_in_words ELSE 'noisy: ' || r.drift_in_words END AS note),
       CASE WHEN s.source_id = 'own-measurement' AND s.note LIKE 'noisy: %' OR r.verdict = 'noisy' THEN 'noisy'
            WHEN s.task = 'infer' AND s.batch_size = r.batch_size THEN r.verdict END AS verdict,
       coalesce(r.started_at, s.saved_at) AS measured_at,
       CASE WHEN s.task = 'infer' AND s.batch_size = r.batch_size THEN r.ci95_low_ms END AS ci95_low_ms,
       CASE WHEN s.task = 'infer' AND s.batch_size = r.batch_size THEN r.ci95_high_ms END AS ci95_high_ms
FROM own.speed s
LEFT JOIN own_run r ON s.source_id = 'own-measurement' AND r.run_id = s.source_file
WHERE r.deleted IS NOT TRUE;

CREATE TEMP VIEW all_speed AS
SELECT row_id, {speed_columns}, evidence, NULL::VARCHAR AS verdict, NULL::TIMESTAMP AS measured_at,
       NULL::DOUBLE AS ci95_low_ms, NULL::DOUBLE AS ci95_high_ms
FROM speed
UNION ALL
SELECT row_id, {speed_columns}, evidence, verdict, measured_at, ci95_low_ms, ci95_high_ms FROM own_speed;

CREATE TEMP VIEW all_accuracy AS
SELECT row_id, {accuracy_columns}, evidence FROM accuracy
UNION ALL SELECT 'own:' || left(row_key, 12), {accuracy_columns}, evidence FROM own.accuracy;

-- Published devices, machines measured here, and what only imported rows name.
CREATE TEMP VIEW all_devices AS
SELECT d.*, m.device_id IS NOT NULL AS measured_here FROM devices d LEFT JOIN own.machine m USING (device_id)
UNION ALL
SELECT device_id, name, kind, vendor, memory_gb, 1, 'measured with this advisor', true FROM own.machine
WHERE device_id NOT IN (SELECT device_id FROM devices)
UNION ALL
SELECT DISTINCT device_id, device_id, 'own', '', NULL, 1, 'known from your own results only', false FROM own.speed
WHERE device_id NOT IN (SELECT device_id FROM devices) AND device_id NOT IN (SELECT device_id FROM own.machine);

CREATE TEMP VIEW all_sources AS
SELECT * FROM sources
UNION ALL BY NAME
SELECT 'own-measurement' AS source_id, 'Measured by you with this advisor' AS title, 'you' AS authors, '' AS url,
       '' AS licence, '' AS version, strftime(max(measured_at), '%Y-%m-%d') AS date,
       'every run with its raw times and environment is kept in your own store' AS notes
FROM own_speed WHERE source_id = 'own-measurement' HAVING count(*) > 0;

-- Weights x image size with every ImageNet accuracy. timm's own evaluation decides; where it has no row for
-- that size, the user's own results do. Suspect rows never decide.
CREATE TEMP VIEW scored AS
WITH named AS (
    SELECT architecture || '.' || tag AS weights, CAST(img_size AS INTEGER) AS img_size, dataset, value,
           source_id, row_id, CASE WHEN evidence = 'published' THEN 0 ELSE 1 END AS preference
    FROM all_accuracy
    WHERE metric = 'top1' AND tag <> '' AND NOT suspect AND img_size IS NOT NULL
      AND (source_id = 'timm-eval' AND evidence = 'published' OR evidence = 'measured')
), preferred AS (
    SELECT * FROM named
    QUALIFY row_number() OVER (PARTITION BY weights, img_size, dataset ORDER BY preference, row_id) = 1
)
SELECT weights, img_size,
       any_value(value) FILTER (dataset = 'imagenet-1k') AS top1,
       any_value(value) FILTER (dataset = 'imagenet-real') AS "real",
       any_value(value) FILTER (dataset = 'imagenetv2-mf') AS v2,
       any_value(value) FILTER (dataset = 'imagenet-a') AS a,
       any_value(value) FILTER (dataset = 'imagenet-r') AS r,
       any_value(value) FILTER (dataset = 'imagenet-sketch') AS sketch,
       coalesce(any_value(source_id) FILTER (dataset = 'imagenet-1k'), min(source_id)) AS accuracy_source_id,
       coalesce(any_value(row_id) FILTER (dataset = 'imagenet-1k'), min(row_id)) AS accuracy_row_id
FROM preferred GROUP BY weights, img_size;
