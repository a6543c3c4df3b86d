/** What the stages of Environments are called, from the least to the most that depends on them. */
export const STAGES: Record<string, string> = {
  poc: 'Proof of concept',
  dev: 'Development',
  uat: 'User acceptance',
  stg: 'Staging',
  prod: 'Production',
}
