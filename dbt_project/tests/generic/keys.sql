{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}, count(*) as occurrences
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}


{#
    An empty table passes every other test, so this one counts. A model whose days may be empty on purpose says so in its
    contract (`meta.volume.at_least: 0`).
#}
{% test not_empty(model) %}
{%- set may_be_empty = [] -%}
{%- if execute -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == model.identifier -%}
    {%- if node.config.meta.get('volume', {}).get('at_least') == 0 -%}{%- do may_be_empty.append(node.name) -%}{%- endif -%}
  {%- endfor -%}
{%- endif %}
select 1 as empty_table
from (select count(*) as found from {{ model }}) as counted
where found = 0 {%- if may_be_empty %} and 1 = 0 {%- endif %}
{% endtest %}
