/** What the gateway sends. Names of listing fields are those of the RESO Data Dictionary; a field without a value is left out. */

export type Currency = 'USD' | 'CAD';

export type ChangeType = 'added' | 'price' | 'status' | 'assessment' | 'fields' | 'back_on_market' | 'deleted' | 'corrected';

/** The last thing that happened to a listing, as far as one line can say it. */
export interface LastChange {
  type: ChangeType;
  field?: string;
  before?: unknown;
  after?: unknown;
}

/** One listing as the list shows it. */
export interface Summary {
  ListingKey: string;
  Feed: string;
  StandardStatus?: string;
  ListPrice?: number;
  ClosePrice?: number;
  TaxAssessedValue?: number;
  Currency?: Currency;
  PropertyType?: string;
  BedroomsTotal?: number;
  BathroomsTotalInteger?: number;
  LivingArea?: number;
  LivingAreaUnits?: string;
  UnparsedAddress?: string;
  City?: string;
  StateOrProvince?: string;
  PostalCode?: string;
  Country?: string;
  Latitude?: number;
  Longitude?: number;
  PlaceUncertaintyMeters?: number;
  Version: number;
  /** RFC 3339. */
  ChangedAt: string;
  LastChange?: LastChange;
}

export interface ListingPage {
  total: number;
  /** True when the gateway stopped counting: the total is then "at least". */
  total_capped?: boolean;
  listings: Summary[];
  next?: string | null;
}

/** West, south, east, north in degrees. */
export type Box = readonly [number, number, number, number];

export interface Cluster {
  lon: number;
  lat: number;
  count: number;
  box: [number, number, number, number];
}

export interface Pin {
  key: string;
  lon: number;
  lat: number;
  price?: number | null;
  currency?: Currency;
  status?: string;
}

export interface MapAnswer {
  total: number;
  clusters: Cluster[];
  pins: Pin[];
}

/** All fields of a listing that may leave the gateway. */
export type Fields = Record<string, unknown>;

export interface Detail {
  listing: Fields;
  meta: {
    Feed?: string;
    Version?: number;
    AsOf?: string;
    ChangedAt?: string;
    PlaceMethod?: string;
    PlaceUncertaintyMeters?: number;
  };
}

export interface HistoryEvent {
  type: ChangeType;
  /** When we learned of it, RFC 3339. */
  at: string;
  /** What the source says the time was. */
  as_of?: string;
  version?: number;
  before?: Fields | null;
  after?: Fields | null;
}

export type Stage = 'raw' | 'mapped' | 'command' | 'tracked' | 'published';

export interface ExplainStep {
  stage: Stage;
  topic?: string;
  partition?: number;
  offset?: number;
  time?: string;
  value?: unknown;
  notes?: string[];
}

export interface Stats {
  listings: number;
  by_country?: Record<string, number>;
  by_status?: Record<string, number>;
  by_feed?: Record<string, number>;
  with_place?: number;
  events?: Record<string, number>;
  changed_at?: string;
}
