/** The story's helpers, held against the fixture server, so that a change of the console shows here first. */
import { expect, test } from './support'
import { Console } from './story/console'

test('the story’s helpers find their way', async ({ page, fixture }) => {
  await fixture.control('reset', { seed: 'empty' })
  const console = new Console(page)
  await console.signIn('admin', 'unused')
  await console.createOrganization('acme', 'Acme')
  await console.createEnvironment('acme', 'dev')
  await console.createEnvironment('acme', 'prod')
  expect(await console.invite('acme', 'carol', 'Org developer', ['acme-dev'])).toMatch(/one-time-carol$/)
  await console.removeMember('acme', 'carol')

  const plan = await console.planInstall('acme-dev', 'Guestbook', 'guestbook', { Title: 'Hello' })
  expect(await plan.applications()).toEqual(['guestbook', 'guestbook-db'])
  expect(await plan.objects()).toContain('HelmRelease acme-dev/guestbook')
  // It is not done before it was seen on its way, however slow the machine.
  await fixture.control('pace', { held: true })
  await plan.confirm('Install')
  const seen = await console.watchUntilRunning(async (phase) => {
    if (phase === 'Installing') await fixture.control('pace', { held: false })
  })
  expect(seen).toEqual(['Installing', 'Running'])

  const second = await console.planInstall('acme-dev', 'Guestbook', 'second')
  await second.serveBy('db', 'guestbook-db')
  await second.confirm('Install')
  await console.phase('Running')

  await (await console.planChange('acme-dev', 'guestbook', { Replicas: '3' })).confirm('Confirm the change')
  await console.phase('Running')
  expect((await console.history('acme-dev', 'guestbook'))[0]).toBe('Change guestbook')
  await (await console.planRollback('acme-dev', 'guestbook', /^Install guestbook/)).confirm('Roll back')
  await console.phase('Running')

  await console.createPolicy('two-eyes', 'acme-prod', 1)
  await console.closePull('acme-prod', await console.promote('acme-dev', 'second', 'acme-prod'))
  const number = await console.promote('acme-dev', 'second', 'acme-prod')
  await fixture.control('approve', { pull: `acme-prod/${number}`, username: 'bob' })
  await console.merge('acme-prod', number)
  expect(await console.deleteApplication('acme-dev', 'second', 'keep')).toEqual(['PersistentVolumeClaim second/data'])
})
