-- Views of one connection over the published store and, where it exists, the user's own store.
CREATE TEMP VIEW all_speed AS
SELECT row_id, {speed_columns}, evidence FROM speed {own_speed};

CREATE TEMP VIEW all_accuracy AS
SELECT row_id, {accuracy_columns}, evidence FROM accuracy {own_accuracy};

CREATE TEMP VIEW all_devices AS
SELECT * FROM devices {own_devices};

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
