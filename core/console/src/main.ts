import { mount } from 'svelte'
import App from './App.svelte'
import './app.css'
import { followLinks } from './live/navigation.svelte'
import { start } from './live/state.svelte'

const target = document.getElementById('app')
if (target) {
  followLinks()
  mount(App, { target })
  void start()
}
