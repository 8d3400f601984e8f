//! The fields that the mapper itself knows by name, looked up once.

use std::sync::LazyLock;

use messages::fields::FieldId;

macro_rules! ids {
    ($($id:ident = $name:literal,)*) => {
        /// Ids of fields, by name.
        #[derive(Debug)]
        pub(crate) struct Ids {
            $(pub(crate) $id: FieldId,)*
        }

        /// The ids.
        pub(crate) static IDS: LazyLock<Ids> = LazyLock::new(|| Ids {
            $($id: FieldId::of($name).expect(concat!($name, " is in the table of fields")),)*
        });
    };
}

ids! {
    bathrooms_full = "BathroomsFull",
    bathrooms_half = "BathroomsHalf",
    bathrooms_one_quarter = "BathroomsOneQuarter",
    bathrooms_partial = "BathroomsPartial",
    bathrooms_three_quarter = "BathroomsThreeQuarter",
    bathrooms_total = "BathroomsTotalInteger",
    bedrooms_total = "BedroomsTotal",
    city = "City",
    close_date = "CloseDate",
    close_price = "ClosePrice",
    country = "Country",
    currency = "Currency",
    latitude = "Latitude",
    lease_amount = "LeaseAmount",
    list_price = "ListPrice",
    list_price_low = "ListPriceLow",
    listing_contract_date = "ListingContractDate",
    longitude = "Longitude",
    original_list_price = "OriginalListPrice",
    place_method = "PlaceMethod",
    place_uncertainty = "PlaceUncertaintyMeters",
    postal_code = "PostalCode",
    postal_code_plus4 = "PostalCodePlus4",
    state = "StateOrProvince",
    street_additional_info = "StreetAdditionalInfo",
    street_dir_prefix = "StreetDirPrefix",
    street_dir_suffix = "StreetDirSuffix",
    street_name = "StreetName",
    street_number = "StreetNumber",
    street_number_numeric = "StreetNumberNumeric",
    street_suffix = "StreetSuffix",
    street_suffix_modifier = "StreetSuffixModifier",
    unit_number = "UnitNumber",
    unparsed_address = "UnparsedAddress",
    year_built = "YearBuilt",
}
