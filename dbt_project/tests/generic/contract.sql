{#
    All that the contract in the model's .yml says of single rows, in one pass over the table: in a column's `meta`
    `nullable: false`, `values: [...]`, `pattern`, `at_least` and `at_most` (NaN is in no range), and in the model's `meta`
    the `rules` that name what must hold between columns:

        rules: {gust_mph: {not below the wind: gust_mph >= wind_mph}}

    A rule that cannot be answered because of a null holds. One row per broken rule, with the number of rows that break it
    and the condition that finds them.
#}
{% test within_contract(model) %}
{%- set rules = [] -%}
{%- if execute -%}
  {%- set node = (graph.nodes.values() | selectattr('resource_type', 'equalto', 'model')
                  | selectattr('name', 'equalto', model.identifier) | list)[0] -%}
  {%- for column in node.columns.values() -%}
    {%- set meta = column.config.meta -%}
    {%- if not meta.get('nullable', true) -%}
      {%- do rules.append((column.name, 'not null', 'no missing value', column.name ~ ' is null')) -%}
    {%- endif -%}
    {%- if meta.get('values') is not none -%}
      {%- set allowed = [] -%}
      {%- for value in meta.get('values') -%}
        {%- do allowed.append("'" ~ value | replace("'", "''") ~ "'" if value is string else value) -%}
      {%- endfor -%}
      {%- do rules.append((column.name, 'allowed values', meta.get('values') | join(', '),
                           column.name ~ ' not in (' ~ allowed | join(', ') ~ ')')) -%}
    {%- endif -%}
    {%- if meta.get('pattern') is not none -%}
      {%- do rules.append((column.name, 'pattern', meta.get('pattern'),
                           'not (' ~ matches(column.name, meta.get('pattern')) ~ ')')) -%}
    {%- endif -%}
    {%- if meta.get('at_least') is not none or meta.get('at_most') is not none -%}
      {%- set bounds = [] -%}
      {%- if meta.get('at_least') is not none -%}{%- do bounds.append(column.name ~ ' >= ' ~ meta.get('at_least')) -%}{%- endif -%}
      {%- if meta.get('at_most') is not none -%}{%- do bounds.append(column.name ~ ' <= ' ~ meta.get('at_most')) -%}{%- endif -%}
      {#- DuckDB holds NaN to be equal to itself and above all, so a range without an upper bound needs one. -#}
      {%- do bounds.append(column.name ~ " < cast('Infinity' as double precision)") -%}
      {%- do rules.append((column.name, 'range', meta.get('at_least', 'any') ~ ' to ' ~ meta.get('at_most', 'any') ~ ', finite',
                           'not (' ~ bounds | join(' and ') ~ ')')) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- for column, named in node.config.meta.get('rules', {}).items() -%}
    {%- for rule, condition in named.items() -%}
      {%- do rules.append((column, rule, condition, 'not (' ~ condition ~ ')')) -%}
    {%- endfor -%}
  {%- endfor -%}
  {%- if rules | length == 0 -%}
    {{ exceptions.raise_compiler_error('the contract of ' ~ model.identifier ~ ' holds no rule for any value') }}
  {%- endif -%}
{%- endif %}
with

counted as (

    select
      {%- for column, rule, allowed, broken in rules %}
      sum(case when {{ broken }} then 1 else 0 end) as rule_{{ loop.index }},
      {%- endfor %}
      count(*) as rows_seen
    from {{ model }}

),

broken as (

    select
        cast(null as varchar) as column_name,
        cast(null as varchar) as rule,
        cast(null as varchar) as allowed,
        cast(null as varchar) as broken_where,
        cast(null as bigint) as rows_broken
    from counted
    where 1 = 0
    {%- for column, rule, allowed, broken in rules %}
    union all
    select
        '{{ column }}', '{{ rule | replace("'", "''") }}', '{{ allowed | string | replace("'", "''") }}',
        '{{ broken | replace("'", "''") }}', rule_{{ loop.index }}
    from counted
    where rule_{{ loop.index }} > 0
    {%- endfor %}

)

select * from broken
{% endtest %}
