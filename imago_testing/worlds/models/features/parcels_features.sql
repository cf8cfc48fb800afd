with

days as (

    {{ prediction_days('Australia/Sydney') }}

),

parcels as (

    select listed.*, days.day_number, days.predicted_at
    from {{ ref('stg_parcels') }} as listed
    inner join days
        on listed.ds = days.ds
        and listed.known_from <= days.predicted_at
        and listed.known_to > days.predicted_at

),

final as (

    select
        parcel,
        ds,
        event_time,
        depot,
        case when express then 'yes' else 'no' end as express,
        distance_km,
        weight_g,
        stops,
        traffic,  -- joins: traffic
    from parcels

)

select * from final
order by ds, parcel
