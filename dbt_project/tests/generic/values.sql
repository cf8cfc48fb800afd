{# The rows of the run's days and of no other. #}
{% test in_run(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} not between '{{ run_day("first_day") }}' and '{{ run_day("last_day") }}'
   or {{ column_name }} is null
{% endtest %}


{# Two columns that must say the same, as the day in a row and the day in its path. #}
{% test same_as(model, column_name, other) %}
select {{ column_name }}, {{ other }}
from {{ model }}
where {{ column_name }} <> {{ other }} or {{ column_name }} is null or {{ other }} is null
{% endtest %}
