-- name: scored
-- Weights x image size with accuracies and what the catalogue knows; timm's test networks left out.
SELECT c.weights, c.architecture, c.tag, c.family, s.img_size, s.top1, s."real", s.v2, s.a, s.r, s.sketch,
       s.accuracy_source_id, s.accuracy_row_id, c.params_m, c.file_mb, m.gmacs, m.acts_m, c.licence,
       c.licence_spdx, c.commercial, c.pretraining, c.imagenet_1k_only, c.extra_data_rank, c.distilled, c.recipe
FROM scored s
JOIN catalogue c USING (weights)
LEFT JOIN macs m ON m.architecture = c.architecture AND m.img_size = s.img_size
WHERE c.architecture NOT LIKE 'test\_%' ESCAPE '\'
ORDER BY c.weights, s.img_size;

-- name: runs
-- Every usable speed row of a device (NULL: of all) and a task: a timm architecture at a stated size, not suspect.
-- In one and the same setup one row speaks for each quantity: a measured one before published ones, of measured ones
-- one with an interval before those timed more briefly beside another, then a steady one before noisy ones, then the
-- newest, whatever the versions it was measured with: old ones do not answer for what is installed now. Of published
-- ones that contradict each other the slower. A published row keeps what was not measured there, be it the throughput.
WITH ours AS (
    SELECT architecture, img_size, device_id, runtime, precision, layout, batch_size, software, threads, unit,
           count(latency_ms) > 0 AS latency, count(throughput_per_s) > 0 AS throughput
    FROM own_speed WHERE evidence = 'measured' AND NOT suspect AND task = $task GROUP BY ALL
), usable AS (
    SELECT s.* REPLACE (CASE WHEN o.latency AND s.evidence = 'published' THEN NULL ELSE s.latency_ms END AS latency_ms,
                        CASE WHEN o.throughput AND s.evidence = 'published' THEN NULL ELSE s.throughput_per_s END
                        AS throughput_per_s),
           o.architecture IS NOT NULL AS measured_too
    FROM all_speed s
    LEFT JOIN ours o ON o.architecture = s.architecture AND o.img_size = s.img_size AND o.device_id = s.device_id
          AND o.runtime = s.runtime AND o.precision = s.precision AND o.layout = s.layout
          AND o.batch_size IS NOT DISTINCT FROM s.batch_size AND o.software = s.software AND o.threads = s.threads
          AND o.unit = s.unit
    WHERE ($device_id::VARCHAR IS NULL OR s.device_id = $device_id::VARCHAR) AND s.task = $task AND NOT s.suspect
      AND s.architecture <> '' AND s.img_size IS NOT NULL AND s.architecture NOT LIKE 'test\_%' ESCAPE '\'
      AND s.evidence <> 'predicted'
)
SELECT row_id, source_id, model, architecture, CAST(img_size AS INTEGER) AS img_size, device_id, task, runtime,
       software, threads, unit, precision, layout, batch_size, throughput_per_s, latency_ms, peak_memory_mb, note,
       evidence, verdict, ci95_low_ms, ci95_high_ms, started_at AS measured_at
FROM usable
WHERE NOT measured_too OR latency_ms IS NOT NULL OR throughput_per_s IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY architecture, img_size, device_id, runtime, precision, layout, batch_size,
                 CASE WHEN source_id = 'own-measurement' THEN '' ELSE software END, threads, unit, evidence,
                 latency_ms IS NULL, throughput_per_s IS NULL
    -- imported runs have the time of their import; their ids, which are in the order of time, tell them apart
    ORDER BY ci95_low_ms IS NULL, coalesce(verdict = 'noisy', false), usable.measured_at DESC,
             CASE WHEN source_id = 'own-measurement' THEN source_file END DESC,
             latency_ms DESC, throughput_per_s, row_id) = 1
ORDER BY row_id;

-- name: devices
-- Devices with the number of speed rows, of timm architectures, and of those that can decide, most evidence first.
SELECT d.device_id, d.name, d.kind, d.vendor, d.memory_gb, d.accelerators, d.notes, d.measured_here,
       count(s.row_id) AS n_rows, count(DISTINCT nullif(s.architecture, '')) AS n_models,
       count(DISTINCT s.architecture) FILTER (NOT s.suspect AND k.architecture IS NOT NULL) AS n_decidable
FROM all_devices d
LEFT JOIN all_speed s USING (device_id)
LEFT JOIN (SELECT DISTINCT c.architecture, x.img_size FROM scored x JOIN catalogue c USING (weights)) k
       ON k.architecture = s.architecture AND k.img_size = s.img_size
GROUP BY ALL ORDER BY n_decidable DESC, n_models DESC, n_rows DESC, d.device_id;

-- name: setups
-- Setups of every device, most models first.
SELECT device_id, runtime, precision, layout, CAST(batch_size AS INTEGER) AS batch_size, task, software,
       threads, unit, count(DISTINCT coalesce(nullif(architecture, ''), model)) AS n_models,
       count(latency_ms) AS n_latency, count(throughput_per_s) AS n_throughput,
       count(*) FILTER (suspect) AS n_suspect
FROM all_speed GROUP BY ALL
ORDER BY device_id, n_models DESC, runtime, precision, layout, batch_size, task, software, threads, unit;

-- name: catalogue
-- All timm weights with the MACs of their native image size.
SELECT c.*, m.gmacs, m.acts_m FROM catalogue c
LEFT JOIN macs m USING (architecture, img_size) ORDER BY weights;

-- name: sources
-- Sources with the number of rows they stand behind.
SELECT src.*,
       (SELECT count(*) FROM all_speed t WHERE t.source_id = src.source_id) AS n_speed,
       (SELECT count(*) FROM all_accuracy t WHERE t.source_id = src.source_id) AS n_accuracy,
       (SELECT count(*) FROM complexity t WHERE t.source_id = src.source_id) AS n_complexity,
       (SELECT count(*) FROM training_cost t WHERE t.source_id = src.source_id) AS n_training_cost
FROM all_sources src ORDER BY source_id;

-- name: speed_rows
-- Speed rows for exploring and export, suspect ones too; $device_ids empty means all devices.
SELECT row_id, {speed_columns}, evidence FROM all_speed
WHERE len($device_ids::VARCHAR[]) = 0 OR list_contains($device_ids::VARCHAR[], device_id)
ORDER BY device_id, row_id;

-- name: accuracy_rows
-- Every accuracy row, suspect ones too.
SELECT row_id, {accuracy_columns}, evidence FROM all_accuracy ORDER BY row_id;

-- name: training_cost
-- Published training costs.
SELECT * FROM training_cost ORDER BY row_id;

-- name: complexity
-- Published parameters, MACs and activations.
SELECT * FROM complexity ORDER BY row_id;

-- name: claims
-- Ratio and qualitative claims of the texts, as quoted.
SELECT * FROM claims ORDER BY source_id, subject, baseline;

-- name: near_timm
-- Published models that are close to a timm model but not the same network.
SELECT * FROM near_timm ORDER BY source_id, model;

-- name: rows_by_id
-- Speed and accuracy rows behind a claim.
SELECT row_id, source_id, model, architecture, device_id, task, runtime, software, precision, layout, batch_size,
       img_size, throughput_per_s, latency_ms, NULL AS top1, note, evidence
FROM all_speed WHERE list_contains($row_ids::VARCHAR[], row_id)
UNION ALL BY NAME
SELECT row_id, source_id, model, architecture, img_size, value AS top1, note, evidence
FROM all_accuracy WHERE list_contains($row_ids::VARCHAR[], row_id)
ORDER BY row_id;

-- name: own_runs
-- Runs of this advisor, newest first, failed ones too; deleted ones only where $with_deleted.
SELECT r.run_id, r.started_at, r.status, r.reason, r.architecture, r.device_id, coalesce(d.name, r.device_id) AS device,
       r.target, r.runtime, r.precision, r.layout, r.batch_size, r.img_size, r.threads, r.p50_ms, r.p90_ms,
       r.ci95_low_ms, r.ci95_high_ms, r.batch_size * 1000 / r.p50_ms AS throughput_per_s, r.verdict,
       trim(r.verdict_reasons || ' ' || r.later) AS verdict_reasons, r.later, r.drift, r.seconds, r.job_id,
       r.sweep_id, r.request_key, r.deleted, r.request
FROM own_run r LEFT JOIN all_devices d USING (device_id)
WHERE $with_deleted OR NOT r.deleted
ORDER BY r.started_at DESC, r.run_id DESC;

-- name: run_content
-- The whole content of one run and the raw times of its latency; no row where it is not known.
SELECT content, times_ms FROM own.run WHERE run_id = $run_id;

-- name: roofs
-- What a device can do at each precision and number of threads: the best of all times it was measured.
SELECT precision, threads, max(macs_per_s) AS macs_per_s, max(bytes_per_s) AS bytes_per_s, count(*) AS n
FROM own.roof WHERE device_id = $device_id
GROUP BY precision, threads ORDER BY precision, threads;

-- name: own_latencies
-- The latency of every own run that is not deleted, in the setup that its speed row has, newest first; as JSON what it
-- says beside the machine's pulse, null in older runs, and of those all times with the pulses between them, null in
-- runs that are older yet, and of those the pulses before and after.
SELECT s.source_file AS run_id, s.architecture, CAST(s.img_size AS INTEGER) AS img_size, s.device_id, s.task, s.runtime,
       s.software, s.threads, s.unit, s.precision, s.layout, CAST(s.batch_size AS INTEGER) AS batch_size, s.latency_ms,
       s.verdict, s.ci95_low_ms, s.ci95_high_ms, r.content->'$.measured.latency.stretch' AS stretch,
       CASE WHEN (r.content->>'$.measured.latency.stretch') IS NULL
            THEN json_array(to_json(r.times_ms), r.content->'$.measured.latency.pulses') END
       AS series,
       r.content->'$.measured.environment.pulse_ms' AS pulses_ms
FROM own_speed s LEFT JOIN own.run r ON r.run_id = s.source_file
WHERE s.source_id = 'own-measurement' AND s.evidence = 'measured' AND s.task = 'infer' AND NOT s.suspect
  AND s.ci95_low_ms IS NOT NULL
ORDER BY s.measured_at DESC, s.source_file DESC;

-- name: run_details
-- Environment and timed operators of those runs as JSON, null where a run has none.
SELECT run_id, content->'$.measured.environment' AS environment, content->'$.measured.work.timed' AS operators
FROM own.run WHERE list_contains($run_ids::VARCHAR[], run_id) ORDER BY run_id;
