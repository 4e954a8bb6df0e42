-- item_features: what each item has gathered, as known on :day
-- Grain: one row per item of the newest catalogue snapshot or with an event in the last 30 days.
-- Inputs: daily_item_counts (30 days), items (7 days: an empty night carries the last snapshot on),
--   calendar.
-- Window: w days hold an event when its day of receipt and its day of ts are both among the last
--   w days, :day included; calendar gives each day's age, 0 for :day.
-- Rates: (events + prior_events * mean) / (base + prior_events), mean = all events / all bases of
--   the same window; null where the window holds no base at all. view_rate is views per
--   impression, cart_rate carts per view, impression_cart_rate carts per impression, order_rate
--   orders per cart, return_rate returns per order. Events may come without their base (a cart
--   from a link), so a rate may pass 1.
-- Price: minor units; price_to_category = price / mean price of the category, from integer sums.
-- age_days: days since the item was first seen, capped at the calendar's oldest day.
-- Owner: features
WITH daily AS (
    SELECT
        counts.item_id,
        counts.event_type,
        counts.n,
        GREATEST(received.age_days, happened.age_days) AS age_days
    FROM daily_item_counts AS counts
    INNER JOIN calendar AS received ON counts.dt = received.day
    INNER JOIN calendar AS happened ON counts.happened_on = happened.day
    WHERE GREATEST(received.age_days, happened.age_days) < 30
),

gathered AS (
    SELECT
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
    GROUP BY item_id
),

means AS (
    SELECT
        CAST(SUM(views_7) AS DOUBLE)
        / CAST(NULLIF(SUM(impressions_7), 0) AS DOUBLE) AS view_rate_7,
        CAST(SUM(views_30) AS DOUBLE)
        / CAST(NULLIF(SUM(impressions_30), 0) AS DOUBLE) AS view_rate_30,
        CAST(SUM(carts_7) AS DOUBLE)
        / CAST(NULLIF(SUM(views_7), 0) AS DOUBLE) AS cart_rate_7,
        CAST(SUM(carts_30) AS DOUBLE)
        / CAST(NULLIF(SUM(views_30), 0) AS DOUBLE) AS cart_rate_30,
        CAST(SUM(carts_7) AS DOUBLE)
        / CAST(NULLIF(SUM(impressions_7), 0) AS DOUBLE) AS impression_cart_rate_7,
        CAST(SUM(carts_30) AS DOUBLE)
        / CAST(NULLIF(SUM(impressions_30), 0) AS DOUBLE) AS impression_cart_rate_30,
        CAST(SUM(orders_7) AS DOUBLE)
        / CAST(NULLIF(SUM(carts_7), 0) AS DOUBLE) AS order_rate_7,
        CAST(SUM(orders_30) AS DOUBLE)
        / CAST(NULLIF(SUM(carts_30), 0) AS DOUBLE) AS order_rate_30,
        CAST(SUM(returns_30) AS DOUBLE)
        / CAST(NULLIF(SUM(orders_30), 0) AS DOUBLE) AS return_rate_30
    FROM gathered
),

smoothing AS (
    SELECT CAST(:prior_events AS DOUBLE) AS prior
),

newest AS (
    SELECT MAX(dt) AS dt
    FROM items
),

catalogue AS (
    SELECT
        items.item_id,
        items.category_group,
        items.category,
        items.price,
        items.first_seen
    FROM items
    INNER JOIN newest ON items.dt = newest.dt
),

categories AS (
    SELECT
        category,
        CAST(SUM(price) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) AS mean_price
    FROM catalogue
    GROUP BY category
),

oldest AS (
    SELECT MAX(age_days) AS age_days
    FROM calendar
),

described AS (
    SELECT
        catalogue.item_id,
        catalogue.category_group,
        catalogue.category,
        catalogue.price,
        CAST(catalogue.price AS DOUBLE) / NULLIF(categories.mean_price, 0e0) AS price_to_category,
        COALESCE(seen.age_days, oldest.age_days) AS age_days
    FROM catalogue
    INNER JOIN categories ON catalogue.category = categories.category
    LEFT JOIN calendar AS seen ON catalogue.first_seen = seen.day
    CROSS JOIN oldest
),

known AS (
    SELECT item_id FROM described
    UNION DISTINCT
    SELECT item_id FROM gathered
),

totals AS (
    SELECT
        known.item_id,
        COALESCE(gathered.impressions_1, 0) AS impressions_1,
        COALESCE(gathered.impressions_7, 0) AS impressions_7,
        COALESCE(gathered.impressions_30, 0) AS impressions_30,
        COALESCE(gathered.views_1, 0) AS views_1,
        COALESCE(gathered.views_7, 0) AS views_7,
        COALESCE(gathered.views_30, 0) AS views_30,
        COALESCE(gathered.favorites_1, 0) AS favorites_1,
        COALESCE(gathered.favorites_7, 0) AS favorites_7,
        COALESCE(gathered.favorites_30, 0) AS favorites_30,
        COALESCE(gathered.carts_1, 0) AS carts_1,
        COALESCE(gathered.carts_7, 0) AS carts_7,
        COALESCE(gathered.carts_30, 0) AS carts_30,
        COALESCE(gathered.orders_1, 0) AS orders_1,
        COALESCE(gathered.orders_7, 0) AS orders_7,
        COALESCE(gathered.orders_30, 0) AS orders_30,
        COALESCE(gathered.returns_1, 0) AS returns_1,
        COALESCE(gathered.returns_7, 0) AS returns_7,
        COALESCE(gathered.returns_30, 0) AS returns_30,
        gathered.days_since_impression,
        gathered.days_since_view,
        gathered.days_since_favorite,
        gathered.days_since_cart,
        gathered.days_since_order,
        gathered.days_since_return
    FROM known
    LEFT JOIN gathered ON known.item_id = gathered.item_id
)

SELECT
    totals.item_id,
    described.category_group,
    described.category,
    totals.impressions_1,
    totals.impressions_7,
    totals.impressions_30,
    totals.views_1,
    totals.views_7,
    totals.views_30,
    totals.favorites_1,
    totals.favorites_7,
    totals.favorites_30,
    totals.carts_1,
    totals.carts_7,
    totals.carts_30,
    totals.orders_1,
    totals.orders_7,
    totals.orders_30,
    totals.returns_1,
    totals.returns_7,
    totals.returns_30,
    (totals.views_7 + smoothing.prior * means.view_rate_7)
    / (totals.impressions_7 + smoothing.prior) AS view_rate_7,
    (totals.views_30 + smoothing.prior * means.view_rate_30)
    / (totals.impressions_30 + smoothing.prior) AS view_rate_30,
    (totals.carts_7 + smoothing.prior * means.cart_rate_7)
    / (totals.views_7 + smoothing.prior) AS cart_rate_7,
    (totals.carts_30 + smoothing.prior * means.cart_rate_30)
    / (totals.views_30 + smoothing.prior) AS cart_rate_30,
    (totals.carts_7 + smoothing.prior * means.impression_cart_rate_7)
    / (totals.impressions_7 + smoothing.prior) AS impression_cart_rate_7,
    (totals.carts_30 + smoothing.prior * means.impression_cart_rate_30)
    / (totals.impressions_30 + smoothing.prior) AS impression_cart_rate_30,
    (totals.orders_7 + smoothing.prior * means.order_rate_7)
    / (totals.carts_7 + smoothing.prior) AS order_rate_7,
    (totals.orders_30 + smoothing.prior * means.order_rate_30)
    / (totals.carts_30 + smoothing.prior) AS order_rate_30,
    (totals.returns_30 + smoothing.prior * means.return_rate_30)
    / (totals.orders_30 + smoothing.prior) AS return_rate_30,
    described.price,
    described.price_to_category,
    described.age_days,
    totals.days_since_impression,
    totals.days_since_view,
    totals.days_since_favorite,
    totals.days_since_cart,
    totals.days_since_order,
    totals.days_since_return
FROM totals
CROSS JOIN means
CROSS JOIN smoothing
LEFT JOIN described ON totals.item_id = described.item_id
