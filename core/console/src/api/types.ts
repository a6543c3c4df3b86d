/** Short names for the shapes of the REST API; `generated.ts` has them all. */
import type { components } from './generated'

type Schemas = components['schemas']

export type Accepted = Schemas['Accepted']
export type ApplicationCommand = Schemas['ApplicationCommand']
export type ApplicationSummary = Schemas['ApplicationSummary']
export type ApplicationView = Schemas['ApplicationView']
export type BlueprintCard = Schemas['BlueprintCard']
export type BlueprintDetail = Omit<Schemas['BlueprintDetail'], 'form'> & { form: FormField[] }
export type BranchView = Schemas['BranchView']
export type CreateEnvironment = Schemas['CreateEnvironment']
export type CreateOrganization = Schemas['CreateOrganization']
export type DeletionView = Schemas['DeletionView']
export type EnvironmentView = Schemas['EnvironmentView']
export type Execute = Schemas['Execute']
export type Fault = Schemas['Fault']
/** Defaults and options are any JSON, which OpenAPI's `object` does not say. */
export type FormField = Omit<Schemas['FormField'], 'default' | 'options'> & { default?: unknown; options?: unknown[] }
export type Health = Schemas['Health']
export type Invitation = Schemas['Invitation']
export type Invite = Schemas['Invite']
export type Me = Schemas['Me']
export type MemberView = Schemas['MemberView']
export type OpenPull = Schemas['OpenPull']
export type OrganizationView = Schemas['OrganizationView']
export type Page<T> = { items: T[]; next?: string | null }
export type PlannedAction = Schemas['PlannedAction']
export type PlannedObject = Schemas['PlannedObject']
export type PlanView = Schemas['PlanView']
export type PolicyView = Schemas['PolicyView']
export type Problem = Schemas['Problem']
export type PullRequestView = Schemas['PullRequestView']
export type Removed = Schemas['Removed']
export type Revision = Schemas['Revision']
export type RevisionDetail = Schemas['RevisionDetail']
export type Role = Schemas['OrganizationRole']
export type SetRole = Schemas['SetRole']
export type SovereignView = Schemas['SovereignView']
export type StreamItem = Schemas['StreamItem']
export type UserView = Schemas['UserView']
