-- ranking_days: what happened on each day that ranking groups may come from
-- Grain: one row per listing day.
-- Inputs: events known by :day, listing_days (frame: listing_day, is_ready).
-- Window: the listing days, received up to :day; a listing belongs to the day it began.
-- A day that is not ready, because a partition of the day before it is absent, is counted too: its
--   listings are dropped as a whole.
-- Owner: ranker
WITH listings AS (
    SELECT
        listing_id,
        CAST(min(ts) AS DATE) AS listing_day
    FROM events
    WHERE event_type = 'impression' AND listing_id IS NOT NULL
    GROUP BY listing_id
),

listings_by_day AS (
    SELECT
        listing_day,
        count(*) AS listings
    FROM listings
    GROUP BY listing_day
),

contacts_by_day AS (
    SELECT
        CAST(ts AS DATE) AS listing_day,
        count_if(event_type = 'cart') AS carts,
        count_if(event_type = 'cart' AND session_id IS NULL) AS carts_without_session,
        count(DISTINCT CASE WHEN event_type = 'order' THEN user_id END) AS buyers
    FROM events
    WHERE event_type IN ('cart', 'order')
    GROUP BY CAST(ts AS DATE)
)

SELECT
    listing_days.listing_day,
    listing_days.is_ready,
    CAST(COALESCE(listings_by_day.listings, 0) AS BIGINT) AS listings,
    CAST(COALESCE(contacts_by_day.carts, 0) AS BIGINT) AS carts,
    CAST(COALESCE(contacts_by_day.carts_without_session, 0) AS BIGINT) AS carts_without_session,
    CAST(COALESCE(contacts_by_day.buyers, 0) AS BIGINT) AS buyers
FROM listing_days
LEFT JOIN listings_by_day ON listing_days.listing_day = listings_by_day.listing_day
LEFT JOIN contacts_by_day ON listing_days.listing_day = contacts_by_day.listing_day
ORDER BY listing_days.listing_day
