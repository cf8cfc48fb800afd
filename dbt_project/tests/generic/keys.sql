{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}, count(*) as occurrences
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}


{# An empty table passes every other test, so this one counts. #}
{% test not_empty(model) %}
select 1 as empty_table
from (select count(*) as found from {{ model }}) as counted
where found = 0
{% endtest %}
