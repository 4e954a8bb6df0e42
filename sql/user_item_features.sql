-- user_item_features: what passed between each user and item, as known on :day
-- Grain: one row per user and item with an act (any event but an impression) in the last 30 days;
--   a pair that was only shown has no row, else the table would be as long as the log of listings.
-- Inputs: daily_acts and events (30 days), calendar. Impressions come from events: a day's count of
--   them by pair is three quarters as long as they are, and read a fifth faster.
-- Window: w days hold an event when its day of receipt and its day of ts are both among the last
--   w days, :day included; calendar gives each day's age, 0 for :day. Most events are received on
--   their day, and comparing bounds is cheaper than casting ts to a date.
-- dwell_seconds_30: time on the item's page, summed.
-- Owner: features
WITH acts AS (
    SELECT
        done.user_id,
        done.item_id,
        done.event_type,
        done.dwell_seconds,
        GREATEST(received.age_days, happened.age_days) AS age_days
    FROM daily_acts AS done
    INNER JOIN calendar AS received ON done.dt = received.day
    INNER JOIN calendar AS happened ON done.happened_on = happened.day
    WHERE GREATEST(received.age_days, happened.age_days) < 30
),

pairs AS (
    SELECT DISTINCT
        user_id,
        item_id
    FROM acts
),

gathered AS (
    SELECT
        user_id,
        item_id,
        event_type,
        dwell_seconds,
        age_days
    FROM acts
    UNION ALL
    SELECT
        e.user_id,
        e.item_id,
        e.event_type,
        e.dwell_seconds,
        GREATEST(received.age_days, happened.age_days) AS age_days
    FROM events AS e
    INNER JOIN pairs ON e.user_id = pairs.user_id AND e.item_id = pairs.item_id
    INNER JOIN calendar AS received ON e.dt = received.day
    INNER JOIN calendar AS happened
        ON
            happened.day = CASE
                WHEN e.ts >= received.starts_at AND e.ts < received.ends_at THEN e.dt
                ELSE CAST(e.ts AS DATE)
            END
    WHERE
        e.event_type = 'impression'
        AND GREATEST(received.age_days, happened.age_days) < 30
)

SELECT
    user_id,
    item_id,
    COUNT(*) FILTER (WHERE event_type = 'impression' AND age_days < 1) AS impressions_1,
    COUNT(*) FILTER (WHERE event_type = 'impression' AND age_days < 7) AS impressions_7,
    COUNT(*) FILTER (WHERE event_type = 'impression') AS impressions_30,
    COUNT(*) FILTER (WHERE event_type = 'view' AND age_days < 1) AS views_1,
    COUNT(*) FILTER (WHERE event_type = 'view' AND age_days < 7) AS views_7,
    COUNT(*) FILTER (WHERE event_type = 'view') AS views_30,
    COUNT(*) FILTER (WHERE event_type = 'favorite' AND age_days < 1) AS favorites_1,
    COUNT(*) FILTER (WHERE event_type = 'favorite' AND age_days < 7) AS favorites_7,
    COUNT(*) FILTER (WHERE event_type = 'favorite') AS favorites_30,
    COUNT(*) FILTER (WHERE event_type = 'cart' AND age_days < 1) AS carts_1,
    COUNT(*) FILTER (WHERE event_type = 'cart' AND age_days < 7) AS carts_7,
    COUNT(*) FILTER (WHERE event_type = 'cart') AS carts_30,
    COUNT(*) FILTER (WHERE event_type = 'order' AND age_days < 1) AS orders_1,
    COUNT(*) FILTER (WHERE event_type = 'order' AND age_days < 7) AS orders_7,
    COUNT(*) FILTER (WHERE event_type = 'order') AS orders_30,
    COUNT(*) FILTER (WHERE event_type = 'return' AND age_days < 1) AS returns_1,
    COUNT(*) FILTER (WHERE event_type = 'return' AND age_days < 7) AS returns_7,
    COUNT(*) FILTER (WHERE event_type = 'return') AS returns_30,
    CAST(COALESCE(SUM(dwell_seconds), 0) AS BIGINT) AS dwell_seconds_30,
    MIN(age_days) FILTER (WHERE event_type = 'impression') AS days_since_impression,
    MIN(age_days) FILTER (WHERE event_type = 'view') AS days_since_view,
    MIN(age_days) FILTER (WHERE event_type = 'favorite') AS days_since_favorite,
    MIN(age_days) FILTER (WHERE event_type = 'cart') AS days_since_cart,
    MIN(age_days) FILTER (WHERE event_type = 'order') AS days_since_order,
    MIN(age_days) FILTER (WHERE event_type = 'return') AS days_since_return
FROM gathered
GROUP BY user_id, item_id
