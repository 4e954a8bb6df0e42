-- facet_rows: items shown in listings, from which facet weights are fitted
-- Grain: one row per listing and item of the listing days in listing_days, kept for fitting.
-- Inputs: events (to :day, from weeks before the first listing day), items (an empty night carries
--   the last snapshot on), user_segments and segment_scores of the days before the listings,
--   examination (:day), listing_days (day, known_day: the day before it).
-- Window: a listing belongs to the day of its ts; contacts count as far back as events are given.
-- carted: a cart is credited to the customer's last impression of the item before it, in the same
--   session, at most a day after the listing.
-- sf_pos: the segment's score as of the day before; where the segment has none, that of all.
-- is_choice: rows of the within-listing method: the listing led to a cart, and the customer had not
--   viewed, liked, carted or bought that very item before it was shown.
-- is_sampled: carted, or kept by a hash below :kept_below (rows of the logistic method).
-- Owner: facets
WITH catalogue_days AS (
    SELECT DISTINCT dt FROM items
),

snapshots AS (
    SELECT
        listing_days.known_day,
        MAX(catalogue_days.dt) AS snapshot_day
    FROM listing_days
    INNER JOIN catalogue_days ON listing_days.known_day >= catalogue_days.dt
    GROUP BY listing_days.known_day
),

shown AS (
    SELECT
        e.listing_id,
        e.item_id,
        e.user_id,
        e.platform,
        e.surface,
        e.position,
        e.ts,
        listing_days.day AS listing_day,
        listing_days.known_day,
        COALESCE(e.session_id, '') AS session_id
    FROM events AS e
    INNER JOIN listing_days ON CAST(e.ts AS DATE) = listing_days.day
    WHERE e.event_type = 'impression' AND e.listing_id IS NOT NULL AND e.position IS NOT NULL
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY e.listing_id, e.item_id ORDER BY e.position ASC, e.ts ASC, e.event_id ASC
    ) = 1
),

credited AS (
    SELECT
        shown.listing_id,
        shown.item_id
    FROM events AS e
    INNER JOIN shown
        ON
            e.user_id = shown.user_id
            AND e.item_id = shown.item_id
            AND COALESCE(e.session_id, '') = shown.session_id
    WHERE
        e.event_type = 'cart'
        AND shown.ts <= e.ts
        AND CAST(e.ts AS DATE) <= shown.listing_day + 1
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY e.event_id ORDER BY shown.ts DESC, shown.listing_id DESC
    ) = 1
),

carted AS (
    SELECT DISTINCT
        listing_id,
        item_id
    FROM credited
),

contacts_before AS (
    SELECT
        user_id,
        item_id,
        MIN(ts) AS first_ts
    FROM events
    WHERE event_type IN ('view', 'favorite', 'cart', 'order')
    GROUP BY user_id, item_id
),

labelled AS (
    SELECT
        shown.listing_id,
        shown.item_id,
        shown.user_id,
        shown.platform,
        shown.surface,
        shown.position,
        shown.known_day,
        carted.item_id IS NOT NULL AS is_carted,
        COALESCE(contacts_before.first_ts < shown.ts, FALSE) AS had_contact
    FROM shown
    LEFT JOIN carted ON shown.listing_id = carted.listing_id AND shown.item_id = carted.item_id
    LEFT JOIN contacts_before
        ON shown.user_id = contacts_before.user_id AND shown.item_id = contacts_before.item_id
),

chosen AS (
    SELECT DISTINCT listing_id
    FROM labelled
    WHERE is_carted AND NOT had_contact
),

kept AS (
    SELECT
        labelled.*,
        chosen.listing_id IS NOT NULL AND NOT labelled.had_contact AS is_choice,
        labelled.is_carted
        OR SUBSTR(MD5(labelled.listing_id || ':' || labelled.item_id), 1, 4) < :kept_below
            AS is_sampled
    FROM labelled
    LEFT JOIN chosen ON labelled.listing_id = chosen.listing_id
)

SELECT
    kept.listing_id,
    kept.item_id,
    kept.user_id,
    kept.known_day,
    snapshots.snapshot_day,
    items.category_group,
    kept.is_carted,
    kept.is_choice,
    kept.is_sampled,
    examination.p_examined,
    CAST(COALESCE(own.sf_pos, everyone.sf_pos) AS DOUBLE) AS sf_pos
FROM kept
INNER JOIN snapshots ON kept.known_day = snapshots.known_day
INNER JOIN items ON kept.item_id = items.item_id AND snapshots.snapshot_day = items.dt
LEFT JOIN user_segments
    ON kept.user_id = user_segments.user_id AND kept.known_day = user_segments.dt
LEFT JOIN segment_scores AS own
    ON
        COALESCE(user_segments.segment, :unknown_segment) = own.segment
        AND kept.item_id = own.item_id
        AND kept.known_day = own.dt
LEFT JOIN segment_scores AS everyone
    ON
        everyone.segment = 'all'
        AND kept.item_id = everyone.item_id
        AND kept.known_day = everyone.dt
LEFT JOIN examination
    ON
        kept.platform = examination.platform
        AND kept.surface = examination.surface
        AND kept.position = examination.position
WHERE kept.is_choice OR kept.is_sampled
