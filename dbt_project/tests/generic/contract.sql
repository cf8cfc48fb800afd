{#
    All that the contract in the model's .yml says of single values, in one pass over the table: `nullable: false`,
    `values: [...]`, `at_least` and `at_most` in a column's `meta`. NaN is in no range. One row per broken rule, with the
    number of rows that break it.
#}
{% test within_contract(model) %}
{%- set rules = [] -%}
{%- if execute -%}
  {%- set node = (graph.nodes.values() | selectattr('resource_type', 'equalto', 'model')
                  | selectattr('name', 'equalto', model.identifier) | list)[0] -%}
  {%- for column in node.columns.values() -%}
    {%- set meta = column.config.meta -%}
    {%- if not meta.get('nullable', true) -%}
      {%- do rules.append((column.name, 'not null', column.name ~ ' is null')) -%}
    {%- endif -%}
    {%- if meta.get('values') is not none -%}
      {%- set allowed = [] -%}
      {%- for value in meta.get('values') -%}
        {%- do allowed.append("'" ~ value ~ "'" if value is string else value) -%}
      {%- endfor -%}
      {%- do rules.append((column.name, 'allowed values', column.name ~ ' not in (' ~ allowed | join(', ') ~ ')')) -%}
    {%- endif -%}
    {%- if meta.get('at_least') is not none or meta.get('at_most') is not none -%}
      {%- set bounds = [] -%}
      {%- if meta.get('at_least') is not none -%}{%- do bounds.append(column.name ~ ' >= ' ~ meta.get('at_least')) -%}{%- endif -%}
      {%- if meta.get('at_most') is not none -%}{%- do bounds.append(column.name ~ ' <= ' ~ meta.get('at_most')) -%}{%- endif -%}
      {#- DuckDB holds NaN to be equal to itself and above all, so a range without an upper bound needs one. -#}
      {%- do bounds.append(column.name ~ " < cast('Infinity' as double precision)") -%}
      {%- do rules.append((column.name, 'range', 'not (' ~ bounds | join(' and ') ~ ')')) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if rules | length == 0 -%}
    {{ exceptions.raise_compiler_error('the contract of ' ~ model.identifier ~ ' holds no rule for any value') }}
  {%- endif -%}
{%- endif %}
with

counted as (

    select
      {%- for column, rule, broken in rules %}
      sum(case when {{ broken }} then 1 else 0 end) as rule_{{ loop.index }},
      {%- endfor %}
      count(*) as rows_seen
    from {{ model }}

),

broken as (

    select cast(null as varchar) as column_name, cast(null as varchar) as rule, cast(null as bigint) as rows_broken
    from counted
    where 1 = 0
    {%- for column, rule, broken in rules %}
    union all
    select '{{ column }}', '{{ rule }}', rule_{{ loop.index }} from counted where rule_{{ loop.index }} > 0
    {%- endfor %}

)

select * from broken
{% endtest %}
