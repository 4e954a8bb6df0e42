-- candidate_interactions: what generators learn from; being shown is not interest
-- Grain: one row per view, favorite, cart or order.
-- Inputs: events (partitions :first_day to :day).
-- Window: days :first_day to :day hold both the day of receipt and the day of ts.
-- Owner: candidates
SELECT
    user_id,
    item_id,
    event_type,
    ts,
    event_id,
    city,
    dwell_seconds,
    dt
FROM events
WHERE
    event_type IN ('view', 'favorite', 'cart', 'order')
    AND CAST(ts AS DATE) BETWEEN :first_day AND :day
