import { vitePreprocess } from '@sveltejs/vite-plugin-svelte'

// All components use runes; without the older mode its code stays out.
export default { preprocess: vitePreprocess(), compilerOptions: { runes: true } }
