-- Grain: one row per view, favourite, cart or order. No impressions: being shown is not interest.
-- Inputs: events of the partitions :first_day .. :day. Window: dt and ts both inside it.
-- Read by: train_candidates. Owner: candidates.
SELECT
    user_id,
    item_id,
    event_type,
    ts,
    event_id,
    city,
    dt
FROM events
WHERE
    event_type IN ('view', 'favorite', 'cart', 'order')
    AND CAST(ts AS DATE) BETWEEN :first_day AND :day
