-- segment_item_features: what each item has gathered in each segment, as known on :day
-- Grain: one row per segment and item with an event in the last 30 days; segment 'all' holds
--   everybody, so it must not be summed with the others.
-- Inputs: events (30 days), user_segments (:day; all events of a user count in today's segment),
--   calendar.
-- Window: w days hold an event when its day of receipt and its day of ts are both among the last
--   w days, :day included; calendar gives each day's age, 0 for :day.
-- Owner: segments
WITH counted AS (
    SELECT
        e.user_id,
        e.item_id,
        e.event_type,
        GREATEST(received.age_days, happened.age_days) AS age_days
    FROM events AS e
    INNER JOIN calendar AS received ON e.dt = received.day
    INNER JOIN calendar AS happened ON CAST(e.ts AS DATE) = happened.day
    WHERE GREATEST(received.age_days, happened.age_days) < 30
),

by_segment AS (
    SELECT
        user_segments.segment,
        counted.item_id,
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
        MIN(age_days) FILTER (WHERE event_type = 'impression') AS days_since_impression,
        MIN(age_days) FILTER (WHERE event_type = 'view') AS days_since_view,
        MIN(age_days) FILTER (WHERE event_type = 'favorite') AS days_since_favorite,
        MIN(age_days) FILTER (WHERE event_type = 'cart') AS days_since_cart,
        MIN(age_days) FILTER (WHERE event_type = 'order') AS days_since_order,
        MIN(age_days) FILTER (WHERE event_type = 'return') AS days_since_return
    FROM counted
    INNER JOIN user_segments ON counted.user_id = user_segments.user_id
    GROUP BY user_segments.segment, counted.item_id
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
    CAST(SUM(impressions_1) AS BIGINT) AS impressions_1,
    CAST(SUM(impressions_7) AS BIGINT) AS impressions_7,
    CAST(SUM(impressions_30) AS BIGINT) AS impressions_30,
    CAST(SUM(views_1) AS BIGINT) AS views_1,
    CAST(SUM(views_7) AS BIGINT) AS views_7,
    CAST(SUM(views_30) AS BIGINT) AS views_30,
    CAST(SUM(favorites_1) AS BIGINT) AS favorites_1,
    CAST(SUM(favorites_7) AS BIGINT) AS favorites_7,
    CAST(SUM(favorites_30) AS BIGINT) AS favorites_30,
    CAST(SUM(carts_1) AS BIGINT) AS carts_1,
    CAST(SUM(carts_7) AS BIGINT) AS carts_7,
    CAST(SUM(carts_30) AS BIGINT) AS carts_30,
    CAST(SUM(orders_1) AS BIGINT) AS orders_1,
    CAST(SUM(orders_7) AS BIGINT) AS orders_7,
    CAST(SUM(orders_30) AS BIGINT) AS orders_30,
    CAST(SUM(returns_1) AS BIGINT) AS returns_1,
    CAST(SUM(returns_7) AS BIGINT) AS returns_7,
    CAST(SUM(returns_30) AS BIGINT) AS returns_30,
    MIN(days_since_impression) AS days_since_impression,
    MIN(days_since_view) AS days_since_view,
    MIN(days_since_favorite) AS days_since_favorite,
    MIN(days_since_cart) AS days_since_cart,
    MIN(days_since_order) AS days_since_order,
    MIN(days_since_return) AS days_since_return
FROM by_segment
GROUP BY item_id
