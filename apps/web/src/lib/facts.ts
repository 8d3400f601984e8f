/** A listing's fields as groups of facts. Empty ones are left out; a field that no group names is shown under "More". */
import { area, date, exactTime, fieldName, money } from './format';
import type { Fields } from './listing';

export interface Fact {
  field: string;
  name: string;
  text: string;
}

export interface FactGroup {
  title: string;
  facts: Fact[];
}

const groups: readonly (readonly [string, readonly string[]])[] = [
  [
    'Home',
    [
      'PropertyType', 'PropertySubType', 'BedroomsTotal', 'BathroomsTotalInteger', 'BathroomsFull', 'BathroomsHalf', 'LivingArea', 'AboveGradeFinishedArea',
      'BelowGradeFinishedArea', 'Stories', 'StoriesTotal', 'YearBuilt', 'YearBuiltEffective', 'YearRenovated', 'PropertyCondition', 'ArchitecturalStyle', 'NumberOfUnitsTotal',
    ],
  ],
  [
    'Price and status',
    [
      'ListPrice', 'OriginalListPrice', 'PreviousListPrice', 'ClosePrice', 'StandardStatus', 'MlsStatus', 'ListingContractDate', 'OnMarketDate', 'PurchaseContractDate',
      'CloseDate', 'DaysOnMarket', 'CumulativeDaysOnMarket', 'AssociationFee', 'AssociationFeeFrequency', 'LeaseAmount', 'LeaseAmountFrequency',
    ],
  ],
  ['Lot', ['LotSizeArea', 'LotSizeSquareFeet', 'LotSizeAcres', 'LotFeatures', 'View', 'ViewYN', 'WaterfrontYN', 'WaterfrontFeatures', 'Zoning', 'ZoningDescription']],
  [
    'Building',
    [
      'ConstructionMaterials', 'FoundationDetails', 'Roof', 'Heating', 'Cooling', 'FireplacesTotal', 'FireplaceYN', 'Flooring', 'Appliances', 'InteriorFeatures',
      'ExteriorFeatures', 'Basement', 'GarageSpaces', 'GarageYN', 'ParkingTotal', 'ParkingFeatures', 'PoolPrivateYN', 'PoolFeatures', 'BuildingClass',
    ],
  ],
  ['Tax', ['TaxAssessedValue', 'TaxYear', 'TaxAnnualAmount', 'ParcelNumber', 'TaxLegalDescription', 'TaxBlock', 'TaxLot']],
  [
    'Place',
    [
      'UnparsedAddress', 'UnitNumber', 'City', 'StateOrProvince', 'PostalCode', 'Country', 'CountyOrParish', 'SubdivisionName', 'MLSAreaMajor', 'Latitude', 'Longitude',
      'ElementarySchool', 'HighSchool', 'HighSchoolDistrict',
    ],
  ],
  ['Listed by', ['ListAgentFullName', 'ListOfficeName', 'CoListAgentFullName', 'CoListOfficeName', 'BuyerAgentFullName', 'BuyerOfficeName', 'ListingId', 'OriginatingSystemName']],
];

/** Shown elsewhere on the page, or only the unit of another field. */
const elsewhere = new Set(['ListingKey', 'Feed', 'Version', 'PublicRemarks', 'Media', 'Currency', 'LastChange', 'ChangedAt', 'PlaceUncertaintyMeters', 'PlaceMethod']);

const moneyFields = new Set([
  'ListPrice', 'OriginalListPrice', 'PreviousListPrice', 'ClosePrice', 'TaxAssessedValue', 'TaxAnnualAmount', 'AssociationFee', 'LeaseAmount',
]);

/** Numbers that are names: they take no thousands separator. */
const plainNumbers = new Set(['YearBuilt', 'YearBuiltEffective', 'YearRenovated', 'TaxYear', 'Latitude', 'Longitude', 'ParcelNumber', 'ListingId', 'PostalCode', 'TaxBlock', 'TaxLot']);

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.every(isEmpty));
}

/** One value as text, by the kind of its field. */
export function factText(field: string, value: unknown, fields: Fields, locale?: string): string {
  if (typeof value === 'boolean') return value ? 'Yes' : 'No';
  if (typeof value === 'number') return numberText(field, value, fields, locale);
  if (Array.isArray(value)) return value.filter((part) => !isEmpty(part)).map((part) => factText(field, part, fields, locale)).join(', ');
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  const text = String(value);
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return date(text, locale);
  return /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text) ? exactTime(text, locale) : text;
}

function numberText(field: string, value: number, fields: Fields, locale?: string): string {
  if (moneyFields.has(field)) {
    const currency = fields['Currency'];
    return typeof currency === 'string' ? `${money(value, locale)} ${currency}` : money(value, locale);
  }
  const unit = fields[`${field}Units`] ?? fields[field.replace(/Area$/, 'Units')];
  if (typeof unit === 'string') return area(value, unit, locale);
  if (field.endsWith('SquareFeet')) return area(value, 'Square Feet', locale);
  if (field.endsWith('Acres')) return area(value, 'Acres', locale);
  return plainNumbers.has(field) ? String(value) : value.toLocaleString(locale);
}

export function factGroups(fields: Fields, locale?: string): FactGroup[] {
  const left = new Set(Object.keys(fields).filter((field) => !elsewhere.has(field) && !isEmpty(fields[field])));
  // A unit is said with its number, and says nothing without it.
  for (const field of [...left]) if (field.endsWith('Units') && typeof fields[field] === 'string') left.delete(field);
  const fact = (field: string): Fact => ({ field, name: fieldName(field), text: factText(field, fields[field], fields, locale) });
  const named = groups.map(([title, names]) => ({ title, facts: names.filter((name) => left.delete(name)).map(fact) }));
  const more = { title: 'More', facts: [...left].sort().map(fact) };
  return [...named, more].filter((group) => group.facts.length > 0);
}
