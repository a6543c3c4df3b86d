import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

// Where `npm run dev` finds a Sovereign: the fixture server, or a real one.
const sovereign = process.env.SOVEREIGN ?? 'http://127.0.0.1:4810'

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // Data URLs would need holes in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: 'es' },
  server: { proxy: { '/api': sovereign, '/auth': sovereign } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
