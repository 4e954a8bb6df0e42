-- segment_item_features: what each item has gathered in each segment, as known on :day
-- Grain: one row per segment and item with an event in the last 30 days; segment 'all' holds
--   everybody, so it must not be summed with the others.
-- Inputs: events (30 days), user_segments (:day; all events of a user count in today's segment),
--   calendar.
-- Window: w days hold an event when its day of receipt and its day of ts are both among the last
--   w days, :day included; calendar gives each day's age, 0 for :day. Most events are received on
--   their day, and comparing bounds is cheaper than casting ts to a date.
-- Owner: segments
WITH counted AS (
    SELECT
        e.user_id,
        e.item_id,
        e.event_type,
        GREATEST(received.age_days, happened.age_days) AS age_days
    FROM events AS e
    INNER JOIN calendar AS received ON e.dt = received.day
    INNER JOIN calendar AS happened
        ON
            happened.day = CASE
                WHEN e.ts >= received.starts_at AND e.ts < received.ends_at THEN e.dt
                ELSE CAST(e.ts AS DATE)
            END
    WHERE GREATEST(received.age_days, happened.age_days) < 30
),

daily AS (
    SELECT
        user_segments.segment,
        counted.item_id,
        counted.event_type,
        counted.age_days,
        COUNT(*) AS n
    FROM counted
    INNER JOIN user_segments ON counted.user_id = user_segments.user_id
    GROUP BY user_segments.segment, counted.item_id, counted.event_type, counted.age_days
),

by_segment AS (
    SELECT
        segment,
        item_id,
        SUM(
            CASE WHEN event_type = 'impression' AND age_days < 1 THEN n ELSE 0 END
        ) AS impressions_1,
        SUM(
            CASE WHEN event_type = 'impression' AND age_days < 7 THEN n ELSE 0 END
        ) AS impressions_7,
        SUM(CASE WHEN event_type = 'impression' THEN n ELSE 0 END) AS impressions_30,
        SUM(CASE WHEN event_type = 'view' AND age_days < 1 THEN n ELSE 0 END) AS views_1,
        SUM(CASE WHEN event_type = 'view' AND age_days < 7 THEN n ELSE 0 END) AS views_7,
        SUM(CASE WHEN event_type = 'view' THEN n ELSE 0 END) AS views_30,
        SUM(CASE WHEN event_type = 'favorite' AND age_days < 1 THEN n ELSE 0 END) AS favorites_1,
        SUM(CASE WHEN event_type = 'favorite' AND age_days < 7 THEN n ELSE 0 END) AS favorites_7,
        SUM(CASE WHEN event_type = 'favorite' THEN n ELSE 0 END) AS favorites_30,
        SUM(CASE WHEN event_type = 'cart' AND age_days < 1 THEN n ELSE 0 END) AS carts_1,
        SUM(CASE WHEN event_type = 'cart' AND age_days < 7 THEN n ELSE 0 END) AS carts_7,
        SUM(CASE WHEN event_type = 'cart' THEN n ELSE 0 END) AS carts_30,
        SUM(CASE WHEN event_type = 'order' AND age_days < 1 THEN n ELSE 0 END) AS orders_1,
        SUM(CASE WHEN event_type = 'order' AND age_days < 7 THEN n ELSE 0 END) AS orders_7,
        SUM(CASE WHEN event_type = 'order' THEN n ELSE 0 END) AS orders_30,
        SUM(CASE WHEN event_type = 'return' AND age_days < 1 THEN n ELSE 0 END) AS returns_1,
        SUM(CASE WHEN event_type = 'return' AND age_days < 7 THEN n ELSE 0 END) AS returns_7,
        SUM(CASE WHEN event_type = 'return' THEN n ELSE 0 END) AS returns_30,
        MIN(age_days) FILTER (WHERE event_type = 'impression') AS days_since_impression,
        MIN(age_days) FILTER (WHERE event_type = 'view') AS days_since_view,
        MIN(age_days) FILTER (WHERE event_type = 'favorite') AS days_since_favorite,
        MIN(age_days) FILTER (WHERE event_type = 'cart') AS days_since_cart,
        MIN(age_days) FILTER (WHERE event_type = 'order') AS days_since_order,
        MIN(age_days) FILTER (WHERE event_type = 'return') AS days_since_return
    FROM daily
    GROUP BY segment, item_id
)

SELECT
    segment,
    item_id,
    impressions_1,
    impressions_7,
    impressions_30,
    views_1,
    views_7,
    views_30,
    favorites_1,
    favorites_7,
    favorites_30,
    carts_1,
    carts_7,
    carts_30,
    orders_1,
    orders_7,
    orders_30,
    returns_1,
    returns_7,
    returns_30,
    days_since_impression,
    days_since_view,
    days_since_favorite,
    days_since_cart,
    days_since_order,
    days_since_return
FROM by_segment
UNION ALL
SELECT
    'all' AS segment,
    item_id,
    SUM(impressions_1) AS impressions_1,
    SUM(impressions_7) AS impressions_7,
    SUM(impressions_30) AS impressions_30,
    SUM(views_1) AS views_1,
    SUM(views_7) AS views_7,
    SUM(views_30) AS views_30,
    SUM(favorites_1) AS favorites_1,
    SUM(favorites_7) AS favorites_7,
    SUM(favorites_30) AS favorites_30,
    SUM(carts_1) AS carts_1,
    SUM(carts_7) AS carts_7,
    SUM(carts_30) AS carts_30,
    SUM(orders_1) AS orders_1,
    SUM(orders_7) AS orders_7,
    SUM(orders_30) AS orders_30,
    SUM(returns_1) AS returns_1,
    SUM(returns_7) AS returns_7,
    SUM(returns_30) AS returns_30,
    MIN(days_since_impression) AS days_since_impression,
    MIN(days_since_view) AS days_since_view,
    MIN(days_since_favorite) AS days_since_favorite,
    MIN(days_since_cart) AS days_since_cart,
    MIN(days_since_order) AS days_since_order,
    MIN(days_since_return) AS days_since_return
FROM by_segment
GROUP BY item_id
