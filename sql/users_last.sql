-- The last value of each user and attribute in the file: the one that held last, or stands last. Of several that held at
-- the same time, the greatest.
INSERT INTO last_values (user_id, attribute, as_of_ms, category, number, day)
SELECT user_id, attribute, as_of_ms, CAST(MAX(category) AS CHAR), MAX(number), MAX(day)
FROM (
    SELECT
        user_id, attribute, as_of_ms, category, number, day,
        RANK() OVER (PARTITION BY user_id, attribute ORDER BY as_of_ms DESC, line DESC) AS place
    FROM arriving_values
) ranked
WHERE place = 1
GROUP BY user_id, attribute, as_of_ms;

-- What is stored stays if it held later; at the same time, if it is at least as great. Of a file that does not say when
-- its values held, each replaces another value, and none replaces itself.
DELETE FROM last_values
WHERE EXISTS (
    SELECT 1
    FROM user_attributes held
    WHERE held.user_id = last_values.user_id
        AND held.attribute = last_values.attribute
        AND (
            held.as_of_ms > last_values.as_of_ms
{% if timed %}
            OR held.as_of_ms = last_values.as_of_ms AND (
                held.category IS NOT NULL AND HEX(held.category) >= HEX(last_values.category)
                OR held.number >= last_values.number
                OR held.day >= last_values.day
            )
{% else %}
            OR held.category IS NOT NULL AND HEX(held.category) = HEX(last_values.category)
            OR held.number = last_values.number
            OR held.day = last_values.day
{% endif %}
        )
);
