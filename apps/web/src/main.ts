import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';

const target = document.getElementById('app');
if (target === null) throw new Error('index.html has no element with the id "app".');
mount(App, { target });

/** The page keeps itself for later once it has nothing better to do. Browsers allow that on secure addresses and this machine's own only. */
const keepMs = 3_000;
if (import.meta.env.PROD && 'serviceWorker' in navigator)
  setTimeout(() => void navigator.serviceWorker.register('/sw.js').catch((error: unknown) => console.info('The page is not kept for reading offline:', error)), keepMs);
