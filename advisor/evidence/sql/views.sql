-- Views of one connection over the published store and the user's own store, which is attached as `own`.
-- Runs of this advisor. The newest event says whether one is deleted. `later` is what is only known since: where the
-- sentinel of a run's sweep drifted by more than 5 % the machine changed meanwhile; and a steady run that is more than
-- 5 % slower than another steady one of the same setup and versions was made while something held the machine back,
-- be it a neighbour of a virtual machine that no counter shows. Both make a run noisy.
CREATE TEMP VIEW own_run AS
WITH known AS (
    SELECT r.*, w.drift, w.sentinel, coalesce(e.event = 'deleted', false) AS deleted, v.software
    FROM own.run r
    LEFT JOIN own.sweep w ON w.job_id = r.job_id AND w.sweep_id = r.sweep_id
    LEFT JOIN (SELECT run_id, arg_max(event, number) AS event FROM own.run_event GROUP BY run_id) e
           ON e.run_id = r.run_id
    LEFT JOIN (SELECT source_file AS run_id, any_value(software) AS software FROM own.speed
               WHERE source_id = 'own-measurement' GROUP BY source_file) v ON v.run_id = r.run_id
), beside AS (
    SELECT *, p50_ms / min(p50_ms) FILTER (verdict = 'steady' AND NOT deleted AND NOT coalesce(drift > 0.05, false)) OVER (
        PARTITION BY device_id, target, architecture, runtime, precision, layout, batch_size, img_size, threads, software
    ) - 1 AS slower
    FROM known
), told AS (
    SELECT *, concat_ws(' ',
        CASE WHEN drift > 0.05 THEN 'The sentinel ' || sentinel || ' drifted by ' || round(100 * drift)::INTEGER
             || ' % over the sweep.' END,
        CASE WHEN verdict = 'steady' AND slower > 0.05 THEN 'Another steady run of this setup was '
             || round(100 * slower)::INTEGER || ' % faster: the machine was held back.' END) AS later
    FROM beside
)
SELECT * EXCLUDE (sentinel, slower, software)
       REPLACE (CASE WHEN later <> '' AND verdict IS NOT NULL THEN 'noisy' ELSE verdict END AS verdict,
                CASE WHEN later <> '' AND verdict = 'steady' THEN '' ELSE verdict_reasons END AS verdict_reasons)
FROM told;

-- The user's own speeds without those of deleted runs. Interval and "steady" are the latency's: the rows of other batch
-- sizes and of training, timed more briefly, have neither, but are noisy where the run is.
-- A row of another machine's export has no run here; its note says whether it is noisy.
CREATE TEMP VIEW own_speed AS
SELECT 'own:' || left(s.row_key, 12) AS row_id,
       s.* REPLACE (CASE WHEN coalesce(r.later, '') = '' THEN s.note WHEN s.note LIKE 'noisy: %'
                    THEN s.note || ' ' || r.later ELSE 'noisy: ' || r.later END AS note),
       CASE WHEN s.source_id = 'own-measurement' AND s.note LIKE 'noisy: %' OR r.verdict = 'noisy' THEN 'noisy'
            WHEN s.task = 'infer' AND s.batch_size = r.batch_size THEN r.verdict END AS verdict,
       coalesce(r.started_at, s.saved_at) AS measured_at,
       -- the id of a run begins with the time it was started; of other imported rows only the time of import is known
       coalesce(r.started_at, CASE WHEN s.source_id = 'own-measurement'
                THEN try_strptime(left(s.source_file, 15), '%Y%m%dT%H%M%S') END) AS started_at,
       CASE WHEN s.task = 'infer' AND s.batch_size = r.batch_size THEN r.ci95_low_ms END AS ci95_low_ms,
       CASE WHEN s.task = 'infer' AND s.batch_size = r.batch_size THEN r.ci95_high_ms END AS ci95_high_ms
FROM own.speed s
LEFT JOIN own_run r ON s.source_id = 'own-measurement' AND r.run_id = s.source_file
WHERE r.deleted IS NOT TRUE;

CREATE TEMP VIEW all_speed AS
SELECT row_id, {speed_columns}, evidence, NULL::VARCHAR AS verdict, NULL::TIMESTAMP AS measured_at,
       NULL::TIMESTAMP AS started_at, NULL::DOUBLE AS ci95_low_ms, NULL::DOUBLE AS ci95_high_ms
FROM speed
UNION ALL
SELECT row_id, {speed_columns}, evidence, verdict, measured_at, started_at, ci95_low_ms, ci95_high_ms FROM own_speed;

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
