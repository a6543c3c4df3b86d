import { mount } from 'svelte'
import App from './App.svelte'
import './app.css'
import { keepFocus } from './live/focus'
import { followLinks } from './live/navigation.svelte'
import { start } from './live/state.svelte'

const target = document.getElementById('app')
if (target) {
  followLinks()
  keepFocus()
  mount(App, { target })
  void start()
}
