-- daily_acts: what was done, as received on :day: events without the impressions
-- Grain: one row per event received on :day that is no impression, about a tenth of them.
-- Inputs: events (:day).
-- Window: the events received on :day, whenever they happened.
-- Owner: features
SELECT
    event_id,
    ts,
    CAST(ts AS DATE) AS happened_on,
    user_id,
    session_id,
    item_id,
    event_type,
    platform,
    city,
    price,
    quantity,
    dwell_seconds
FROM events
WHERE event_type <> 'impression'
