-- One row a user, one column an attribute; NULL where it is not known. Of the users after one and up to another, if asked.
SELECT
    user_id
{% for attribute in attributes %}
    , MAX(CASE WHEN attribute = '{{ attribute.name }}' THEN {{ attribute.column }} END) AS `{{ attribute.name }}`
{% endfor %}
FROM user_attributes
{% if some %}
WHERE user_id > :after AND user_id <= :last
{% endif %}
GROUP BY user_id;
