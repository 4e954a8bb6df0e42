-- ranking_groups: rows of groups with what was known the day before the listing
-- Grain: one row per group and item.
-- Inputs: group_rows (frame: ranking_listings or ranking_candidates) and, of the day before each
--   row's listing, item_features, user_features, user_item_features, segment_item_features,
--   segment_scores, user_segments, user_facets, examination; items, item_attributes, customers of
--   the newest snapshot of the :snapshot_days days up to the day before (an empty night carries the
--   last one on).
-- Window: the day before each listing; a row that this day does not have is null.
-- sf_pos: of the customer's segment; where it has no score for the item, that of 'all'.
-- segment rates: (events + prior_events * mean) / (base + prior_events), mean = all events / all
--   bases of the segment in the same window; null where it has no base at all. view_rate is views
--   per impression, cart_rate carts per view.
-- listing_hour, listing_weekday: of the request, in UTC, Monday is 1; null where nothing was shown,
--   since listed_at is then the time of the purchase.
-- Candidates' scores join later, from partitions of their own days.
-- Owner: ranker
WITH known_days AS (
    SELECT DISTINCT listing_day - 1 AS known_day
    FROM group_rows
),

catalogue_days AS (
    SELECT DISTINCT dt
    FROM items
),

snapshots AS (
    SELECT
        known_days.known_day,
        max(catalogue_days.dt) AS snapshot_day
    FROM known_days
    LEFT JOIN catalogue_days
        ON
            known_days.known_day >= catalogue_days.dt
            AND known_days.known_day - :snapshot_days < catalogue_days.dt
    GROUP BY known_days.known_day
),

known AS (
    SELECT
        group_rows.*,
        snapshots.known_day,
        snapshots.snapshot_day
    FROM group_rows
    INNER JOIN snapshots ON group_rows.listing_day - 1 = snapshots.known_day
),

placed AS (
    SELECT
        known.*,
        items.category_group,
        items.category,
        items.seller_id,
        items.price,
        items.rating,
        items.in_stock,
        items.stock_cities,
        customers.city,
        COALESCE(user_segments.segment, :unknown_segment) AS segment
    FROM known
    LEFT JOIN items ON known.snapshot_day = items.dt AND known.item_id = items.item_id
    LEFT JOIN customers
        ON known.snapshot_day = customers.dt AND known.user_id = customers.user_id
    LEFT JOIN user_segments
        ON known.known_day = user_segments.dt AND known.user_id = user_segments.user_id
),

-- DISTINCT changes no row and keeps this join first: by attribute and value alone, the preferences
-- and the items of all days would meet in billions of pairs.
described AS (
    SELECT DISTINCT
        placed.group_id,
        placed.item_id,
        placed.known_day,
        placed.user_id,
        placed.category_group,
        item_attributes.attribute,
        item_attributes.value
    FROM placed
    INNER JOIN item_attributes
        ON placed.snapshot_day = item_attributes.dt AND placed.item_id = item_attributes.item_id
),

-- Integer sums, because a sum of floats depends on its order.
facets AS (
    SELECT
        described.group_id,
        described.item_id,
        max(CASE WHEN user_facets.attribute = 'brand' THEN user_facets.preference END)
            AS facet_brand,
        max(CASE WHEN user_facets.attribute = 'colour' THEN user_facets.preference END)
            AS facet_colour,
        max(CASE WHEN user_facets.attribute = 'size' THEN user_facets.preference END)
            AS facet_size,
        max(CASE WHEN user_facets.attribute = 'category' THEN user_facets.preference END)
            AS facet_category,
        sum(CAST(floor(user_facets.preference * 1000000) AS BIGINT)) AS facet_ppm,
        count(*) AS facet_matches
    FROM described
    INNER JOIN user_facets
        ON
            described.known_day = user_facets.dt
            AND described.user_id = user_facets.user_id
            AND described.category_group = user_facets.category_group
            AND described.attribute = user_facets.attribute
            AND described.value = user_facets.value
    GROUP BY described.group_id, described.item_id
),

segment_totals AS (
    SELECT
        dt,
        segment,
        sum(impressions_30) AS impressions_30,
        sum(views_30) AS views_30,
        sum(carts_30) AS carts_30
    FROM segment_item_features
    GROUP BY dt, segment
),

segment_means AS (
    SELECT
        dt,
        segment,
        CAST(:prior_events AS DOUBLE) AS prior,
        CAST(views_30 AS DOUBLE) / CAST(nullif(impressions_30, 0) AS DOUBLE) AS view_rate_30,
        CAST(carts_30 AS DOUBLE) / CAST(nullif(views_30, 0) AS DOUBLE) AS cart_rate_30
    FROM segment_totals
),

deepest AS (
    SELECT
        dt,
        platform,
        surface,
        max(position) AS position
    FROM examination
    GROUP BY dt, platform, surface
)

SELECT
    placed.group_id,
    placed.item_id,
    placed.listing_day,
    placed.listed_at,
    placed.user_id,
    placed.platform,
    placed.surface,
    placed.listing_kind,
    placed.is_shuffled,
    placed.is_trained,
    placed.is_measured,
    placed.is_held_out,
    placed.position,
    placed.label,
    placed.segment,
    placed.category_group,
    placed.category,
    placed.seller_id,
    placed.price,
    examination.p_examined,
    pop.impressions_7 AS item_impressions_7,
    pop.views_7 AS item_views_7,
    pop.carts_7 AS item_carts_7,
    pop.orders_7 AS item_orders_7,
    pop.carts_30 AS item_carts_30,
    pop.orders_30 AS item_orders_30,
    pop.returns_30 AS item_returns_30,
    pop.view_rate_30 AS item_view_rate_30,
    pop.cart_rate_30 AS item_cart_rate_30,
    pop.order_rate_30 AS item_order_rate_30,
    pop.price_to_category,
    pop.age_days AS item_age_days,
    pop.days_since_order AS item_days_since_order,
    placed.rating AS item_rating,
    person.views_30 AS user_views_30,
    person.carts_30 AS user_carts_30,
    person.orders_30 AS user_orders_30,
    person.days_since_event AS user_days_since_event,
    pair.impressions_7 AS pair_impressions_7,
    pair.views_7 AS pair_views_7,
    pair.views_30 AS pair_views_30,
    pair.favorites_30 AS pair_favorites_30,
    pair.carts_30 AS pair_carts_30,
    pair.orders_30 AS pair_orders_30,
    pair.days_since_view AS pair_days_since_view,
    pair.days_since_cart AS pair_days_since_cart,
    pair.days_since_order AS pair_days_since_order,
    peers.impressions_30 AS segment_impressions_30,
    peers.views_30 AS segment_views_30,
    peers.carts_30 AS segment_carts_30,
    peers.orders_30 AS segment_orders_30,
    (peers.views_30 + segment_means.prior * segment_means.view_rate_30)
    / (peers.impressions_30 + segment_means.prior) AS segment_view_rate_30,
    (peers.carts_30 + segment_means.prior * segment_means.cart_rate_30)
    / (peers.views_30 + segment_means.prior) AS segment_cart_rate_30,
    COALESCE(own.sf_pos, everyone.sf_pos) AS sf_pos,
    COALESCE(own.support, everyone.support) AS sf_support,
    facets.facet_brand,
    facets.facet_colour,
    facets.facet_size,
    facets.facet_category,
    facets.facet_ppm,
    facets.facet_matches,
    CAST(placed.price AS DOUBLE) AS item_price,
    CAST(placed.price AS DOUBLE) / NULLIF(person.mean_carted_price_30, 0) AS price_to_user,
    CASE WHEN placed.in_stock THEN 1 WHEN NOT placed.in_stock THEN 0 END AS in_stock,
    CASE
        WHEN NOT placed.in_stock THEN 0
        WHEN placed.in_stock IS NULL OR placed.city IS NULL THEN NULL
        WHEN placed.stock_cities IS NULL THEN 1
        WHEN ('|' || placed.stock_cities || '|') LIKE ('%|' || placed.city || '|%') THEN 1
        ELSE 0
    END AS in_stock_here,
    CASE WHEN placed.is_shown THEN extract(HOUR FROM placed.listed_at) END AS listing_hour,
    -- The engines count days of the week from different ones: a Monday tells which.
    CASE
        WHEN placed.is_shown
            THEN
                (
                    extract(DOW FROM placed.listing_day) - extract(DOW FROM DATE '2026-01-05') + 7
                ) % 7 + 1
    END AS listing_weekday
FROM placed
LEFT JOIN deepest
    ON
        placed.known_day = deepest.dt
        AND placed.platform = deepest.platform
        AND placed.surface = deepest.surface
LEFT JOIN examination
    ON
        deepest.dt = examination.dt
        AND deepest.platform = examination.platform
        AND deepest.surface = examination.surface
        -- least() skips a null: a position that nobody knows would be the deepest.
        AND placed.position IS NOT NULL
        AND least(placed.position, deepest.position) = examination.position
LEFT JOIN item_features AS pop ON placed.known_day = pop.dt AND placed.item_id = pop.item_id
LEFT JOIN user_features AS person
    ON placed.known_day = person.dt AND placed.user_id = person.user_id
LEFT JOIN user_item_features AS pair
    ON
        placed.known_day = pair.dt
        AND placed.user_id = pair.user_id
        AND placed.item_id = pair.item_id
LEFT JOIN segment_item_features AS peers
    ON
        placed.known_day = peers.dt
        AND placed.segment = peers.segment
        AND placed.item_id = peers.item_id
LEFT JOIN segment_means
    ON placed.known_day = segment_means.dt AND placed.segment = segment_means.segment
LEFT JOIN segment_scores AS own
    ON
        placed.known_day = own.dt
        AND placed.segment = own.segment
        AND placed.item_id = own.item_id
LEFT JOIN segment_scores AS everyone
    ON
        placed.known_day = everyone.dt
        AND everyone.segment = 'all'
        AND placed.item_id = everyone.item_id
LEFT JOIN facets ON placed.group_id = facets.group_id AND placed.item_id = facets.item_id
ORDER BY placed.group_id, placed.item_id
