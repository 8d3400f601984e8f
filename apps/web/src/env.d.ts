/// <reference types="svelte" />
/// <reference types="vite/client" />

declare module 'virtual:map-worker' {
  /** Address of the map library's worker. */
  const url: string;
  export default url;
}
