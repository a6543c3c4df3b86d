/** Where a change that was accepted leads: to its pull request, or to the Application. */
import type { Accepted } from '../api/types'
import { paths } from '../router'
import { go } from './navigation.svelte'
import { announce, expected } from './state.svelte'

export function arriveAt(accepted: Accepted, environment: string, application: string): void {
  if (accepted.pullRequest) {
    // The pull request is in the repository that the answer names: `owner/environment`.
    const destination = accepted.repository.split('/').pop() ?? environment
    expected.add(`pull-request/${destination}/${accepted.pullRequest}`)
    go(paths.pullRequest(destination, accepted.pullRequest))
    announce(`Pull request ${accepted.pullRequest} is open.`)
  } else {
    expected.add(`application/${environment}/${application}`)
    go(paths.application(environment, application))
    announce(accepted.commit ? 'The change is committed.' : 'Nothing had to change.')
  }
}
