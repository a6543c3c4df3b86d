/**
 * The wizard for a Sovereign: its fields, and the description that comes of them.
 *
 * What must stay true: what is left alone is not sent, so that the defaults of the
 * Catalyst that provisions count; of a description that is changed, what the wizard
 * does not show stays; a credential is never filled in.
 */
import type { SovereignCredentials } from '../api/types'
import { valueFault, type Property, type Schema } from './schema'

export type StepId = 'name' | 'machines' | 'access' | 'credentials' | 'review'

export const STEPS: { id: StepId; title: string }[] = [
  { id: 'name', title: 'Name and domain' },
  { id: 'machines', title: 'Region and sizes' },
  { id: 'access', title: 'Access' },
  { id: 'credentials', title: 'Credentials' },
  { id: 'review', title: 'Review' },
]

export type WizardField = {
  /** The property, with a dot before one within it; of a credential, its name. */
  name: string
  title: string
  step: StepId
  kind: 'text' | 'number' | 'choice' | 'lines' | 'key' | 'toggle' | 'password'
  help?: string
  /** What it looks like, said where it does not. */
  form?: string
  /** What options are called; others are called by themselves. */
  options?: Record<string, string>
  /** Whether it is shown beside what the others hold. */
  isShown?: (values: WizardValues) => boolean
}

/** What is needed to provision, said before one begins. */
export const NEEDS = [
  'An API token of a Hetzner Cloud project of its own, with the right to read and write',
  'A domain: your own, or a zone at Hetzner DNS in that project',
  'A Git repository over https, with clusters/<domain>/ in it: the wizard has the files',
  'An SSH key pair without a passphrase, such as ssh-keygen -t ed25519 -N "" makes it',
]

/** What a Sovereign is without as long as the template holds Catalyst back; a test holds the two together. */
export const WITHOUT = 'A Sovereign that is provisioned today comes without Catalyst itself, whose chart is not published yet, and without vclusters: it has no console and no API of Catalyst’s until then.'

/** What the controls hold, by name. */
export type WizardValues = Record<string, string | boolean>

const hasGit = (values: WizardValues) => values.gitCredentials === true

const LIMIT = 'As Hetzner’s console shows it; left empty, it is not counted.'

const SERVER_TYPE = 'It is the name of a server type, such as cx33, cpx32, cax21 or ccx23.'

export const FIELDS: WizardField[] = [
  { name: 'sovereignFqdn', title: 'Domain', step: 'name', kind: 'text', form: 'It is a domain in lower case, such as omantel.example: letters, digits and hyphens, with dots between.', help: 'Lower case, such as omantel.example. Applications get names below it.' },
  {
    name: 'domainMode', title: 'DNS records', step: 'name', kind: 'choice',
    options: { byo: 'I write them at my own DNS', pool: 'They are written into a zone at Hetzner DNS' },
  },
  { name: 'dnsZone', title: 'Zone at Hetzner DNS', step: 'name', kind: 'text', help: 'In the same project; the domain lies below it.', isShown: (values) => values.domainMode === 'pool' },
  { name: 'acmeEmail', title: 'Mail address for the certificate authority', step: 'name', kind: 'text', form: 'It is a mail address such as platform@omantel.example.' },
  { name: 'gitUrl', title: 'Git repository', step: 'name', kind: 'text', form: 'It begins with https://, has a path, and no user or password in it.', help: 'Over https, without credentials. Flux applies clusters/<domain>/ of it; the review has what must lie there.' },
  { name: 'gitBranch', title: 'Branch', step: 'name', kind: 'text', form: 'It is the name of a branch, such as main.' },
  { name: 'gitCredentials', title: 'The repository is private', step: 'name', kind: 'toggle' },
  {
    name: 'region', title: 'Region', step: 'machines', kind: 'choice',
    options: { fsn: 'Falkenstein (fsn)', nbg: 'Nuremberg (nbg)', hel: 'Helsinki (hel)', ash: 'Ashburn (ash)', hil: 'Hillsboro (hil)', sin: 'Singapore (sin)' },
  },
  { name: 'envType', title: 'Stage', step: 'machines', kind: 'choice' },
  {
    name: 'controlPlaneCount', title: 'Control planes', step: 'machines', kind: 'choice',
    options: { 1: '1', 3: '3: survives the loss of a node' },
  },
  { name: 'controlPlaneServerType', title: 'Server type of the control planes', step: 'machines', kind: 'text', form: SERVER_TYPE, help: 'A type of Hetzner’s, such as cx33 or cax21.' },
  { name: 'workerCount', title: 'Workers', step: 'machines', kind: 'number', help: 'With none, the control planes carry the workloads.' },
  { name: 'workerServerType', title: 'Server type of the workers', step: 'machines', kind: 'text', form: SERVER_TYPE },
  { name: 'limits.servers', title: 'The project’s limit of servers', step: 'machines', kind: 'number', help: LIMIT },
  { name: 'limits.cores', title: 'The project’s limit of cores', step: 'machines', kind: 'number', help: LIMIT },
  { name: 'limits.loadBalancers', title: 'The project’s limit of load balancers', step: 'machines', kind: 'number', help: LIMIT },
  { name: 'limits.primaryIps', title: 'The project’s limit of primary IPs', step: 'machines', kind: 'number', help: LIMIT },
  { name: 'limits.volumes', title: 'The project’s limit of volumes', step: 'machines', kind: 'number', help: LIMIT },
  { name: 'sshPublicKey', title: 'SSH public key', step: 'access', kind: 'key', form: 'It is one line of a .pub file, which begins with ssh-ed25519, ssh-rsa or ecdsa-sha2.', help: 'The one line of a .pub file, such as ssh-ed25519 AAAA…. The Hetzner project must not have this key yet.' },
  { name: 'adminCidrs', title: 'Networks of administrators', step: 'access', kind: 'lines', form: 'It is no network such as 203.0.113.7/32, or too wide to be of administrators alone.', help: 'One a line, such as 203.0.113.7/32. The control plane’s own address must be among them: it signs in to the first node.' },
  { name: 'hetznerToken', title: 'API token of the Hetzner project', step: 'credentials', kind: 'password', help: 'With the right to read and write.' },
  { name: 'sshPrivateKey', title: 'SSH private key', step: 'credentials', kind: 'key', help: 'Of the public key, without a passphrase; the whole file.' },
  { name: 'gitUsername', title: 'User of the Git repository', step: 'credentials', kind: 'text', isShown: hasGit },
  { name: 'gitPassword', title: 'Password or token of that user', step: 'credentials', kind: 'password', isShown: hasGit },
]

const isCredential = (field: WizardField) => field.step === 'credentials'

/** What stands beside a label of a JSON pointer of the request. */
export const pointerOf = (field: WizardField) => (isCredential(field) ? `/credentials/${field.name}` : `/config/${field.name.replace('.', '/')}`)

type Known = Record<string, unknown>

const within = (value: unknown): Known => (typeof value === 'object' && value !== null ? (value as Known) : {})

/** The property of a field. */
export function propertyOf(field: WizardField, schema: Schema): Property {
  const [outer = '', inner] = field.name.split('.')
  const property = schema.properties[outer] ?? {}
  if (inner === undefined) return property
  const group = property.$ref ? schema.$defs?.[property.$ref.replace('#/$defs/', '')] : property
  return group?.properties?.[inner] ?? {}
}

/** What a description says of a field. */
function knownOf(field: WizardField, known: Known): unknown {
  const [outer = '', inner] = field.name.split('.')
  return inner === undefined ? known[outer] : within(known[outer])[inner]
}

/** What counts where a field is left alone: a region has defaults of its own. */
function defaultOf(field: WizardField, schema: Schema, region: unknown): unknown {
  const ofRegion = schema.properties.region?.['x-defaults']?.[String(region)]
  return ofRegion?.[field.name] ?? propertyOf(field, schema).default
}

/** The values once another region is chosen: what was left at the old one's defaults has the new one's. */
export function inRegion(values: WizardValues, schema: Schema, region: string): WizardValues {
  const changed: WizardValues = { ...values, region }
  for (const field of FIELDS) {
    const [before, after] = [values.region, region].map((one) => defaultOf(field, schema, one))
    if (before !== after && values[field.name] === String(before ?? '')) changed[field.name] = String(after ?? '')
  }
  return changed
}

/** The fields of a step that are shown now. */
export function fieldsOf(step: StepId, values: WizardValues): WizardField[] {
  return FIELDS.filter((field) => field.step === step && (field.isShown?.(values) ?? true))
}

/** The options of a choice: value as text → what it is called. */
export function optionsOf(field: WizardField, property: Property): [value: string, title: string][] {
  const values = property.enum ?? property.examples ?? []
  return values.map((value) => [String(value), field.options?.[String(value)] ?? String(value)])
}

/** What the controls hold at first: what is known, else the defaults. */
export function startValues(schema: Schema, known: Record<string, unknown> = {}): WizardValues {
  const values: WizardValues = {}
  for (const field of FIELDS) {
    const value = isCredential(field) ? undefined : (knownOf(field, known) ?? defaultOf(field, schema, known.region))
    if (field.kind === 'toggle') values[field.name] = value === true
    else if (Array.isArray(value)) values[field.name] = value.join('\n')
    else values[field.name] = value === undefined || value === null ? '' : String(value)
  }
  return values
}

function read(field: WizardField, values: WizardValues, property: Property): unknown {
  const held = values[field.name]
  if (field.kind === 'toggle') return held === true
  const text = String(held ?? '').trim()
  if (field.kind === 'lines') return text === '' ? [] : text.split('\n').map((line) => line.trim()).filter((line) => line !== '')
  if (text === '') return undefined
  if (field.kind === 'number') return Number(text)
  // A choice is as its schema has it: a number stays one.
  if (field.kind === 'choice') return (property.enum ?? property.examples ?? []).find((option) => String(option) === text) ?? text
  return text
}

/**
 * What is wrong with the fields of a step, by name. Of a Sovereign that was begun
 * (`isChange`) credentials may be left out: those given before stay.
 */
export function stepFaults(step: StepId, values: WizardValues, schema: Schema, isChange: boolean): Record<string, string> {
  const faults: Record<string, string> = {}
  for (const field of fieldsOf(step, values)) {
    const property = propertyOf(field, schema)
    const value = read(field, values, property)
    const isNeeded = isCredential(field) ? !isChange : needed(field, schema)
    const fault = value === undefined && isNeeded ? 'This is needed.' : isCredential(field) ? credentialFault(field, value) : configFault(field, property, value)
    if (fault) faults[field.name] = fault
  }
  return faults
}

/** Whether a property must be given: by the schema, or because the API takes keys as text alone. */
export function needed(field: WizardField, schema: Schema): boolean {
  return (schema.required ?? []).includes(field.name) || field.name === 'sshPublicKey' || field.name === 'dnsZone'
}

function configFault(field: WizardField, property: Property, value: unknown): string | undefined {
  // Whoever takes one key for the other is told which this is.
  if (field.name === 'sshPublicKey' && typeof value === 'string' && value.includes('PRIVATE KEY')) {
    return 'This is the private key, which belongs to the credentials. The public one is the one line of the .pub file.'
  }
  if (field.name === 'adminCidrs' && Array.isArray(value)) {
    // All that is wrong, not what the schema knows first and the rest by the Sovereign's rules.
    const faults = value.flatMap((line) => valueFault(property, [line], field.form) ?? hostFault(String(line)) ?? [])
    if (value.length > 0) return faults.length > 0 ? faults.join(' ') : undefined
  }
  return valueFault(property, value, field.form)
}

/** What is wrong with an IPv4 network that is not written with its first address. */
function hostFault(network: string): string | undefined {
  const [address = '', prefix] = network.split('/')
  const octets = address.split('.').map(Number)
  // Of IPv6 the Sovereign judges, by its own rules.
  if (octets.length !== 4 || address.includes(':')) return undefined
  const size = 2 ** (32 - Number(prefix))
  const number = octets.reduce((sum, octet) => sum * 256 + octet, 0)
  if (number % size === 0) return undefined
  const first = number - (number % size)
  const begin = [24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join('.')
  return `${network}: Write ${begin}/${prefix}, or ${address}/32 for one machine.`
}

function credentialFault(field: WizardField, value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  if (field.name === 'hetznerToken' && !/^[\x21-\x7e]+$/.test(value)) return 'It has spaces or characters that no token has.'
  // As the Sovereign does: a shorter one cannot be told from other text, and kept out of events.
  if (field.name === 'gitPassword' && new TextEncoder().encode(value).length < 8) return 'It has fewer than 8 characters; give a longer one, or a token.'
  if (field.name === 'sshPrivateKey' && !/^-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*-----END [A-Z ]*PRIVATE KEY-----$/.test(value)) {
    return /^(ssh-|ecdsa-|sk-)/.test(value)
      ? 'This is the public key. The private one is the file without .pub, from -----BEGIN to -----END.'
      : 'This is no private key; give the whole file, from -----BEGIN to -----END.'
  }
  return undefined
}

/** The description: what is known, with what the fields say. */
export function configOf(values: WizardValues, schema: Schema, known: Record<string, unknown> = {}): Record<string, unknown> {
  const config: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(known)) if (value !== null) config[name] = value
  for (const field of FIELDS) {
    if (isCredential(field)) continue
    const property = propertyOf(field, schema)
    const isShown = field.isShown?.(values) ?? true
    const value = isShown ? read(field, values, property) : undefined
    const isDefault = JSON.stringify(value) === JSON.stringify(defaultOf(field, schema, values.region))
    const isGone = value === undefined || (isDefault && knownOf(field, known) === undefined)
    const [outer = '', inner] = field.name.split('.')
    if (inner === undefined) {
      if (isGone) delete config[outer]
      else config[outer] = value
      continue
    }
    const { [inner]: _, ...others } = within(config[outer])
    const group = isGone ? others : { ...others, [inner]: value }
    if (Object.values(group).every((one) => one === null)) delete config[outer]
    else config[outer] = group
  }
  return config
}

/** The credentials that are given. */
export function credentialsOf(values: WizardValues): SovereignCredentials {
  const credentials: Record<string, string> = {}
  for (const field of fieldsOf('credentials', values)) {
    const text = String(values[field.name] ?? '').trim()
    if (text !== '') credentials[field.name] = text
  }
  return credentials
}

/** The step that a fault of the Sovereign's belongs to. */
export function stepOf(pointer: string): StepId | undefined {
  return FIELDS.find((field) => pointer === pointerOf(field) || pointer.startsWith(`${pointerOf(field)}/`))?.step
}
