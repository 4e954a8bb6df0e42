-- daily_item_counts: how many events of each type each item had, as received on :day
-- Grain: one row per item, type and day on which the events happened.
-- Inputs: events (:day).
-- Window: the events received on :day, whenever they happened.
-- Owner: features
WITH dated AS (
    SELECT
        item_id,
        event_type,
        CAST(ts AS DATE) AS happened_on
    FROM events
)

SELECT
    item_id,
    event_type,
    happened_on,
    COUNT(*) AS n
FROM dated
GROUP BY item_id, event_type, happened_on
