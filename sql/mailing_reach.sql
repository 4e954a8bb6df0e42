-- mailing_reach: who may be written to: consent, opt-outs, letters of late, members of the mailing
-- Grain: one row per user of the newest snapshot of customers.
-- Inputs: customers (7 days of snapshots), contacts, audiences and their decisions (all kept).
-- Window: letters are those sent after :since, and those of audiences chosen after it, of whatever
--   day, that contacts do not show yet; an opt-out counts whenever it was. An audience without a
--   decision, such as the one being made, does not count.
-- Owner: marketing
WITH newest AS (
    SELECT MAX(dt) AS dt
    FROM customers
),

-- Counted once, however many days delivered it.
sent AS (
    SELECT
        user_id,
        channel,
        mailing,
        sent_at,
        MAX(CASE WHEN opted_out THEN 1 ELSE 0 END) AS opted_out
    FROM contacts
    GROUP BY user_id, channel, mailing, sent_at
),

written AS (
    SELECT
        user_id,
        MAX(opted_out) AS opted_out,
        COUNT(CASE WHEN CAST(sent_at AS DATE) > :since THEN 1 END) AS letters
    FROM sent
    GROUP BY user_id
),

known_letters AS (
    SELECT DISTINCT
        user_id,
        mailing
    FROM sent
),

members AS (
    SELECT
        audiences.user_id,
        MAX(CASE WHEN audiences.mailing = :mailing THEN 1 ELSE 0 END) AS is_in_mailing,
        COUNT(
            CASE
                WHEN
                    audiences.role = 'sent'
                    AND CAST(audience_decisions.chosen_at AS DATE) > :since
                    AND known_letters.user_id IS NULL
                    THEN 1
            END
        ) AS letters
    FROM audiences
    INNER JOIN audience_decisions
        ON
            audiences.dt = audience_decisions.dt
            AND audiences.lookalike_segment = audience_decisions.lookalike_segment
            AND audiences.mailing = audience_decisions.mailing
    LEFT JOIN known_letters
        ON
            audiences.user_id = known_letters.user_id
            AND audiences.mailing = known_letters.mailing
    GROUP BY audiences.user_id
)

SELECT
    customers.user_id,
    customers.consent,
    COALESCE(written.opted_out, 0) = 1 AS opted_out,
    COALESCE(members.is_in_mailing, 0) = 1 AS is_in_mailing,
    CAST(COALESCE(written.letters, 0) + COALESCE(members.letters, 0) AS BIGINT) AS letters
FROM customers
INNER JOIN newest ON customers.dt = newest.dt
LEFT JOIN written ON customers.user_id = written.user_id
LEFT JOIN members ON customers.user_id = members.user_id
