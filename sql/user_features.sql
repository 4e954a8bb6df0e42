-- user_features: what each user has done, as known on :day
-- Grain: one row per user with an event in the last 30 days.
-- Inputs: daily_user_counts and daily_acts (30 days), calendar.
-- Window: w days hold an event when its day of receipt and its day of ts are both among the last
--   w days, :day included; calendar gives each day's age, 0 for :day.
-- Rates: (events + prior_events * mean) / (base + prior_events), mean = all events / all bases of
--   the same window; null where the window holds no base at all. view_rate is views per
--   impression, cart_rate carts per view, impression_cart_rate carts per impression, order_rate
--   orders per cart, return_rate returns per order. Events may come without their base (a cart
--   from a link), so a rate may pass 1.
-- Act: any event but an impression. sessions_30, active_days_30 and distinct_items_30 count acts,
--   spent_30 is price * quantity of orders in minor units, days_since_event is of the last act.
-- Owner: features
WITH daily AS (
    SELECT
        counts.user_id,
        counts.event_type,
        counts.n,
        counts.price_sum,
        counts.prices,
        counts.paid,
        GREATEST(received.age_days, happened.age_days) AS age_days
    FROM daily_user_counts AS counts
    INNER JOIN calendar AS received ON counts.dt = received.day
    INNER JOIN calendar AS happened ON counts.happened_on = happened.day
    WHERE GREATEST(received.age_days, happened.age_days) < 30
),

gathered AS (
    SELECT
        user_id,
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
        COALESCE(SUM(paid) FILTER (WHERE event_type = 'order'), 0) AS spent_30,
        SUM(price_sum) FILTER (WHERE event_type = 'view') AS viewed_price,
        SUM(prices) FILTER (WHERE event_type = 'view') AS viewed_prices,
        SUM(price_sum) FILTER (WHERE event_type = 'cart') AS carted_price,
        SUM(prices) FILTER (WHERE event_type = 'cart') AS carted_prices,
        SUM(price_sum) FILTER (WHERE event_type = 'order') AS ordered_price,
        SUM(prices) FILTER (WHERE event_type = 'order') AS ordered_prices,
        MIN(age_days) FILTER (WHERE event_type <> 'impression') AS days_since_event,
        MIN(age_days) FILTER (WHERE event_type = 'impression') AS days_since_impression,
        MIN(age_days) FILTER (WHERE event_type = 'view') AS days_since_view,
        MIN(age_days) FILTER (WHERE event_type = 'favorite') AS days_since_favorite,
        MIN(age_days) FILTER (WHERE event_type = 'cart') AS days_since_cart,
        MIN(age_days) FILTER (WHERE event_type = 'order') AS days_since_order,
        MIN(age_days) FILTER (WHERE event_type = 'return') AS days_since_return
    FROM daily
    GROUP BY user_id
),

acts AS (
    SELECT
        done.user_id,
        COUNT(DISTINCT done.session_id) AS sessions_30,
        COUNT(DISTINCT GREATEST(received.age_days, happened.age_days)) AS active_days_30,
        COUNT(DISTINCT done.item_id) AS distinct_items_30
    FROM daily_acts AS done
    INNER JOIN calendar AS received ON done.dt = received.day
    INNER JOIN calendar AS happened ON done.happened_on = happened.day
    WHERE GREATEST(received.age_days, happened.age_days) < 30
    GROUP BY done.user_id
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
)

SELECT
    gathered.user_id,
    gathered.impressions_1,
    gathered.impressions_7,
    gathered.impressions_30,
    gathered.views_1,
    gathered.views_7,
    gathered.views_30,
    gathered.favorites_1,
    gathered.favorites_7,
    gathered.favorites_30,
    gathered.carts_1,
    gathered.carts_7,
    gathered.carts_30,
    gathered.orders_1,
    gathered.orders_7,
    gathered.orders_30,
    gathered.returns_1,
    gathered.returns_7,
    gathered.returns_30,
    (gathered.views_7 + smoothing.prior * means.view_rate_7)
    / (gathered.impressions_7 + smoothing.prior) AS view_rate_7,
    (gathered.views_30 + smoothing.prior * means.view_rate_30)
    / (gathered.impressions_30 + smoothing.prior) AS view_rate_30,
    (gathered.carts_7 + smoothing.prior * means.cart_rate_7)
    / (gathered.views_7 + smoothing.prior) AS cart_rate_7,
    (gathered.carts_30 + smoothing.prior * means.cart_rate_30)
    / (gathered.views_30 + smoothing.prior) AS cart_rate_30,
    (gathered.carts_7 + smoothing.prior * means.impression_cart_rate_7)
    / (gathered.impressions_7 + smoothing.prior) AS impression_cart_rate_7,
    (gathered.carts_30 + smoothing.prior * means.impression_cart_rate_30)
    / (gathered.impressions_30 + smoothing.prior) AS impression_cart_rate_30,
    (gathered.orders_7 + smoothing.prior * means.order_rate_7)
    / (gathered.carts_7 + smoothing.prior) AS order_rate_7,
    (gathered.orders_30 + smoothing.prior * means.order_rate_30)
    / (gathered.carts_30 + smoothing.prior) AS order_rate_30,
    (gathered.returns_30 + smoothing.prior * means.return_rate_30)
    / (gathered.orders_30 + smoothing.prior) AS return_rate_30,
    COALESCE(acts.sessions_30, 0) AS sessions_30,
    COALESCE(acts.active_days_30, 0) AS active_days_30,
    COALESCE(acts.distinct_items_30, 0) AS distinct_items_30,
    gathered.spent_30,
    CAST(gathered.viewed_price AS DOUBLE)
    / NULLIF(gathered.viewed_prices, 0) AS mean_viewed_price_30,
    CAST(gathered.carted_price AS DOUBLE)
    / NULLIF(gathered.carted_prices, 0) AS mean_carted_price_30,
    CAST(gathered.ordered_price AS DOUBLE)
    / NULLIF(gathered.ordered_prices, 0) AS mean_ordered_price_30,
    gathered.days_since_event,
    gathered.days_since_impression,
    gathered.days_since_view,
    gathered.days_since_favorite,
    gathered.days_since_cart,
    gathered.days_since_order,
    gathered.days_since_return
FROM gathered
CROSS JOIN means
CROSS JOIN smoothing
LEFT JOIN acts ON gathered.user_id = acts.user_id
