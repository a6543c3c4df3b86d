// Made from core/control/gateway/openapi.json by `npm run types`; not to be edited.
export interface paths {
    "/api/v1/blueprint-sources": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The sources of Blueprints whose repositories the caller may know: what is published
         *     from each, and what keeps the rest from it.
         */
        get: operations["blueprint_source_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/blueprints": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The Blueprints that are listed for the caller: by source and name, or, where words are
         *     given, the best fit first.
         */
        get: operations["blueprint_list"];
        put?: never;
        /** Admits an artifact that lies in the Sovereign's registry. */
        post: operations["blueprint_register"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/blueprints/{source}/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One version of a Blueprint with its form. */
        get: operations["blueprint_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/blueprints/{source}/{name}/{version}/icon": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The icon of a version, SVG. */
        get: operations["blueprint_icon"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/blueprints/{source}/{name}/{version}/vulnerabilities": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What is known to be wrong with what a version is made of. */
        get: operations["blueprint_vulnerabilities"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/checks/push": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Decides whether refs may move, before they do. */
        post: operations["push_check"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/deletions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Deletions that go on or ended, newest first. */
        get: operations["deletion_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The Environments that the caller may see, by name. */
        get: operations["environment_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One Environment. */
        get: operations["environment_get"];
        put?: never;
        post?: never;
        /** Deletes an Environment; refused while it has Applications, unless they go too. */
        delete: operations["environment_delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/applications": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The Applications of an Environment, by name. */
        get: operations["application_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/applications/{application}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One Application. */
        get: operations["application_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/applications/{application}/history": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The commits that concern an Application, newest first. */
        get: operations["revision_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/applications/{application}/history/{commit}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One commit with what it changed in the Application's folder. */
        get: operations["revision_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/applications/{application}/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The log of an Application's pods. With several containers every line begins
         *     with `pod/container `.
         */
        get: operations["application_logs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/applications/{application}/vulnerabilities": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What is known to be wrong with what an Application, and those that it depends on, are
         *     made of.
         */
        get: operations["application_vulnerabilities"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/branches": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The branches that were pushed to an Environment's repository, by name. */
        get: operations["branch_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/changes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Makes a change: one commit, or a pull request where a policy asks for it. */
        post: operations["change_create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/kubeconfig": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A kubeconfig for the Environment's vclusters that carries the caller's own
         *     token; it ends with the token.
         */
        get: operations["environment_kubeconfig"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/plans": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Says what a change would do; writes nothing. */
        post: operations["plan_create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/pull-requests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The pull requests of an Environment, newest first. */
        get: operations["pull_list"];
        put?: never;
        /** Opens a pull request from a pushed branch; one that is open from it is the answer instead. */
        post: operations["pull_open"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/pull-requests/{number}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One pull request with its diff. */
        get: operations["pull_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/pull-requests/{number}/approval": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Approves a pull request. */
        post: operations["pull_approve"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/pull-requests/{number}/close": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Closes a pull request without merging it, for whoever opened it or may merge it. */
        post: operations["pull_close"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/environments/{environment}/pull-requests/{number}/merge": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Merges a pull request. */
        post: operations["pull_merge"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/graphql": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Executes a query of GraphQL. */
        get: operations["graphql_get"];
        put?: never;
        /** Executes a query or a mutation of GraphQL. */
        post: operations["graphql_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/graphql/schema": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The schema of GraphQL, in its own language. Anybody may read it. */
        get: operations["graphql_schema_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/hooks/git": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Receives the forge's push events, in Gitea's shape, signed with the
         *     webhook's secret.
         */
        post: operations["hook_git"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/hooks/registry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where a registry has to post its notifications, and the token that it has to show; for
         *     sovereign-admins, who connect registries.
         */
        get: operations["registry_hook_get"];
        put?: never;
        /**
         * Receives a registry's notifications, as CNCF Distribution or Harbor sends them, with
         *     the registry's token: what they name is looked at, whoever sends them and how often.
         */
        post: operations["hook_registry"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who is asking, and what they may do. */
        get: operations["me_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The OpenAPI document. */
        get: operations["openapi_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/organizations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The caller's Organizations, by name. */
        get: operations["organization_list"];
        put?: never;
        /** Creates an Organization. */
        post: operations["organization_create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/organizations/{organization}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One Organization. */
        get: operations["organization_get"];
        put?: never;
        post?: never;
        /**
         * Deletes an Organization with its Environments; refused while these have
         *     Applications, unless they go too.
         */
        delete: operations["organization_delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/organizations/{organization}/environments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The Environments of an Organization, by name. */
        get: operations["organization_environment_list"];
        put?: never;
        /** Creates an Environment. */
        post: operations["environment_create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/organizations/{organization}/invitations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Invites a user into an Organization. */
        post: operations["member_invite"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/organizations/{organization}/members": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The members of an Organization. */
        get: operations["member_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/organizations/{organization}/members/{user}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Gives a member a role. */
        put: operations["member_set"];
        post?: never;
        /** Takes a member's role away. */
        delete: operations["member_remove"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/policies": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The policies that bind Environments the caller may see, by name; of each,
         *     only those Environments are named.
         */
        get: operations["policy_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/policies/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Creates or replaces a policy. */
        put: operations["policy_put"];
        post?: never;
        /** Deletes a policy. */
        delete: operations["policy_delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereign": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The Sovereign and where its surfaces are. Anybody may read it. */
        get: operations["sovereign_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereign/trusted-root": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The trusted root that `cosign verify --trusted-root` takes. Anybody may read it. */
        get: operations["trusted_root_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The Sovereigns that are provisioned from here, by domain. */
        get: operations["provisioning_list"];
        put?: never;
        /** Begins to provision a Sovereign, as a job that goes on by itself. */
        post: operations["provisioning_create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A Sovereign that is provisioned: its steps, resources, versions, and what to do next. */
        get: operations["provisioning_get"];
        put?: never;
        post?: never;
        /** Destroys a Sovereign with everything on it, and proves that nothing is left. */
        delete: operations["provisioning_destroy"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}/archive": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Puts OpenTofu's state away, once every step is done: nothing applies it again. */
        post: operations["provisioning_archive"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Tells the job at work to stop; what is being made is ended and kept. */
        post: operations["provisioning_cancel"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}/destroy": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Destroys a Sovereign as `DELETE` does, with other credentials if given. */
        post: operations["provisioning_destroy_with"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What the last job told, and what this and later ones tell: events as
         *     `catalyst provision --output json` prints them, between `job-begun` and `job-ended`;
         *     `id` is the position to send as `Last-Event-ID` when coming back.
         */
        get: operations["provisioning_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}/forget": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Forgets a Sovereign of which nothing is left, with its archives and its last job. */
        post: operations["provisioning_forget"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}/plan": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Looks for problems and plans; creates nothing. */
        post: operations["provisioning_plan"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}/restore": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Takes the archived state back, where OpenTofu can read it; else it stays archived. */
        post: operations["provisioning_restore"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/{fqdn}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Goes on where the last job stopped, with another description or credentials if given.
         *     What was only to be planned is planned; what is planned is done with `create`.
         */
        post: operations["provisioning_resume"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/render": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The files that must lie in the Sovereign's Git repository before it is provisioned; a
         *     description is refused as provisioning would, and nothing is begun or kept.
         */
        post: operations["provisioning_render"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sovereigns/schema": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The JSON Schema (2020-12) of a description: `sovereign.yaml`, with keys as text. */
        get: operations["provisioning_schema"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What changes in the read model, as it changes. Events are named `change`
         *     (`data` is a StreamItem) or `reset` (read everything anew); `id` is the
         *     position to send as `Last-Event-ID` when coming back.
         */
        get: operations["stream_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trusted-signers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Adds a key whose signatures count for a source. */
        post: operations["signer_trust"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/upgrade-plans": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Says what a fleet upgrade would do, wave by wave, and what is left out and why;
         *     writes nothing.
         */
        post: operations["upgrade_plan"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/upgrades": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The fleet upgrades of Organizations that the caller may read, by name; those of all
         *     Organizations for sovereign-admins only.
         */
        get: operations["upgrade_list"];
        put?: never;
        /** Begins a fleet upgrade. */
        post: operations["upgrade_start"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/upgrades/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One fleet upgrade. */
        get: operations["upgrade_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/upgrades/{name}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Has nothing more of a fleet upgrade begin; what was begun goes on by itself. */
        post: operations["upgrade_cancel"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/upgrades/{name}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Goes on with a fleet upgrade that stopped, in the name of the caller: what failed has
         *     its turn again.
         */
        post: operations["upgrade_resume"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The users, by name. Sovereign-admins see all; org-admins those of their
         *     Organizations.
         */
        get: operations["user_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/{user}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Removes a user from every Organization, then from the Sovereign. */
        delete: operations["user_remove"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/invitations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Invites a user to the Sovereign. */
        post: operations["user_invite"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description A change that was accepted: in Git, not necessarily running yet. */
        Accepted: {
            /** @description The commit; absent when nothing had to change, or a pull request waits. */
            commit?: string | null;
            /** @description The digest of the plan that was carried out. */
            plan?: string | null;
            /**
             * Format: int64
             * @description The pull request that carries the change, where one was needed.
             */
            pullRequest?: number | null;
            /** @description The repository, `owner/name`. */
            repository: string;
        };
        /** @description Base URLs of the surfaces. */
        Addresses: {
            /** @description Base of this API, `…/api/v1`. */
            api: string;
            /** @description The console. */
            console: string;
            /** @description Base of the forge; a repository is `{git}/{owner}/{repository}.git`. */
            git: string;
            /** @description The OpenID Connect issuer. */
            issuer: string;
            /** @description `host:port` of the registry. */
            registry: string;
            /** @description Base of the Vault HTTP API. */
            vault: string;
        };
        /** @description A change to plan or to make. */
        ApplicationCommand: (components["schemas"]["Install"] & {
            /** @enum {string} */
            command: "install";
        }) | (components["schemas"]["Change"] & {
            /** @description Which. */
            application: string;
        } & {
            /** @enum {string} */
            command: "change";
        }) | {
            /** @description Which. */
            application: string;
            /** @enum {string} */
            command: "rollback";
            /** @description A commit of its history; the one before the current if absent. */
            to?: string | null;
        } | {
            /** @description Which. */
            application: string;
            /** @enum {string} */
            command: "promote";
            /** @description The destination. */
            to: string;
        } | {
            /** @description Which. */
            application: string;
            /** @enum {string} */
            command: "delete";
            /** @description `keep` or `drop`. */
            data: components["schemas"]["DataChoice"];
        };
        /** @description An Application in a list. */
        ApplicationSummary: {
            /** @description The Blueprint. */
            blueprint: string;
            /** @description Its Environment. */
            environment: string;
            /** @description How it is. */
            health: components["schemas"]["Health"];
            /** @description Its name. */
            name: string;
            /** @description The Blueprint's source. */
            source: string;
            /** @description Where it is opened; absent without a page. */
            url?: string | null;
            /** @description The version wanted. */
            version: string;
        };
        /** @description An Application, whole. */
        ApplicationView: components["schemas"]["ApplicationSummary"] & {
            /** @description The commit that the vcluster runs. */
            appliedRevision?: string | null;
            /** @description The config as committed; secrets by reference. */
            config: Record<string, unknown>;
            /** @description Alias → the Application that serves it. */
            dependencies: {
                [key: string]: string;
            };
            /** @description Applications that depend on this one. */
            dependents: string[];
            /** @description The version whose release was deployed last. */
            deployedVersion?: string | null;
            lastChange?: components["schemas"]["Revision"] | null;
            /** @description The namespace of its workloads. */
            namespace: string;
            /** @description Its objects in the vcluster, by kind and name. */
            objects: components["schemas"]["ObjectView"][];
            /** @description The overlay. */
            size?: string | null;
        };
        /** @description An Application that a fleet upgrade leaves out. */
        BlockedUpgrade: {
            /** @description Its name. */
            application: string;
            /** @description Its Environment. */
            environment: string;
            /** @description The version that it has. */
            from: string;
            /** @description What to do about it, such as by which versions to go. */
            next?: string | null;
            /** @description Why it cannot have the new one. */
            reason: string;
        };
        /** @description A card in the marketplace: the newest version of a Blueprint. */
        BlueprintCard: {
            /** @description Where it belongs. */
            category?: string | null;
            /** @description Path of the icon below the API's host, where it has one. */
            icon?: string | null;
            /** @description The licence of what it installs. */
            license?: string | null;
            /** @description `bp-…`. */
            name: string;
            /** @description `catalog`, `catalog-sovereign` or an Organization. */
            source: string;
            /** @description One line about it. */
            tagline?: string | null;
            /** @description Words to find it by. */
            tags?: string[];
            /** @description What people call it. */
            title: string;
            /** @description The newest version. */
            version: string;
            /** @description All versions, newest first. */
            versions: string[];
        };
        /** @description One version of a Blueprint, whole. */
        BlueprintDetail: components["schemas"]["BlueprintCard"] & {
            /** @description JSON Schema of the config, 2020-12. */
            configSchema: Record<string, unknown>;
            /** @description What it depends on. */
            depends: components["schemas"]["DependencyView"][];
            /** @description Markdown. */
            description?: string | null;
            /** @description `sha256:…` of the artifact. */
            digest: string;
            /** @description The config's form, field by field, in order. */
            form: components["schemas"]["FormField"][];
            /** @description What of the machines they run on its pods take. */
            hostAccess?: components["schemas"]["HostAccessView"][];
            /** @description Whether an Application of it has a page to open. */
            opens: boolean;
            /** @description Who signed it: a key's fingerprint, or a certificate's subject and issuer. */
            signer: string;
            /** @description The sizes one may choose; empty if there is one only. */
            sizes: string[];
            /**
             * @description Why its source took this version back, if it did: Applications that run it go on,
             *     and no other can begin with it.
             */
            withdrawn?: string | null;
        };
        /** @description A source of Blueprints: what is published from its repository, and what is not. */
        BlueprintSourceView: {
            /** @description The Blueprints that have a folder in it. */
            blueprints: components["schemas"]["SourceBlueprintView"][];
            /**
             * @description `Running`: all of it is published. `Failed`: some is not, for the problems.
             *     `Degraded`: all of it is, and something in its path of the registry is refused.
             *     `Stale`: the forge or the registry is away since `since`, and what was published
             *     stays.
             */
            health: components["schemas"]["Health"];
            /** @description What stands against publishing. */
            problems: components["schemas"]["SourceProblemView"][];
            /** @description When that commit was read first. */
            readAt?: string | null;
            /** @description What lies in its path of the registry and was not admitted, the first hundred. */
            refused: components["schemas"]["RefusedArtifactView"][];
            /** @description The clone URL of its repository. */
            repository: string;
            /** @description The commit that was read last. */
            revision?: string | null;
            /** @description Fingerprint of the key that signs what is published from it. */
            signer?: string | null;
            /** @description `catalog`, `catalog-sovereign` or an Organization. */
            source: string;
        };
        /** @description A branch that somebody pushed to an Environment's repository. */
        BranchView: {
            /** @description When. */
            at: string;
            /** @description Who made the last commit. */
            author: string;
            /** @description The id of its last commit. */
            commit: string;
            /**
             * Format: int64
             * @description How many commits it has that `main` does not.
             */
            commits: number;
            /** @description Its name, `{user}/…`. */
            name: string;
            /**
             * Format: int64
             * @description The open pull request that brings it to `main`.
             */
            pullRequest?: number | null;
            /** @description The last commit's subject line. */
            subject: string;
        };
        /** @description Changes an Application. What is absent stays. */
        Change: {
            /** @description Config, merged as RFC 7386 says. */
            config?: Record<string, unknown> | null;
            /** @description Whether reconciling is suspended. */
            paused?: boolean | null;
            /** @description Another overlay. */
            size?: string | null;
            /** @description Another version of the same Blueprint. */
            version?: string | null;
        };
        /** @description Creates an Environment. */
        CreateEnvironment: {
            /** @description prod, stg, uat, dev or poc. */
            envType: string;
            /** @description Host clusters; the Sovereign's one for the stage if empty. */
            hostClusters?: string[];
        };
        /** @description Creates an Organization. */
        CreateOrganization: {
            /** @description Users who become org-admin. */
            admins?: string[];
            /** @description A mail address. */
            contact?: string | null;
            /** @description The name that people read; the slug if absent. */
            displayName?: string | null;
            /** @description Its slug; never changes. */
            name: string;
        };
        /** @description Provisions a Sovereign. */
        CreateSovereign: {
            /**
             * @description What `sovereign.yaml` says, by the schema at `/api/v1/sovereigns/schema`; keys are
             *     given as text, not as files.
             */
            config: Record<string, unknown>;
            /** @description The credentials. */
            credentials?: components["schemas"]["SovereignCredentials"];
            /** @description Whether it shall only be planned for now; resuming it with `create` then creates. */
            planOnly?: boolean;
        };
        /**
         * @description Whether a database can be relied on.
         * @enum {string}
         */
        DatabaseState: "current" | "old" | "missing" | "broken";
        /**
         * @description What a deletion does with data.
         * @enum {string}
         */
        DataChoice: "keep" | "drop";
        /** @description A deletion that ended or goes on. */
        DeletionView: {
            /** @description When it ended; absent while it goes on. */
            endedAt?: string | null;
            /** @description Organization, Environment or Application. */
            kind: string;
            /** @description What was left behind, by name. */
            leftBehind?: string[];
            /** @description The object; an Application as `{environment}/{application}`. */
            name: string;
            /** @description When it was asked for. */
            startedAt: string;
            /** @description What is being waited for. */
            waitingFor?: string | null;
        };
        /** @description A dependency of a Blueprint. */
        DependencyView: {
            /** @description The name by which the Blueprint knows it. */
            alias: string;
            /** @description The Blueprint that serves it. */
            blueprint: string;
            /** @description Its source. */
            source: string;
            /** @description The versions that will do. */
            version: string;
            /** @description When it is needed at all; always if absent. */
            when?: string | null;
        };
        /** @description Destroys a Sovereign. What is absent stays. */
        DestroySovereign: {
            /**
             * @description Credentials that take the place of those given before; of these, a destroy needs
             *     the token alone.
             */
            credentials?: components["schemas"]["SovereignCredentials"];
            /**
             * @description Whether everything that was made was removed by hand: a token of a project that
             *     has nothing of it is refused otherwise.
             */
            removedByHand?: boolean;
        };
        /** @description An Environment. */
        EnvironmentView: {
            /**
             * Format: int32
             * @description How many Applications it has.
             */
            applications: number;
            /** @description The last commit that was applied to the vcluster. */
            appliedRevision?: string | null;
            /** @description Its stage. */
            envType: string;
            /** @description How it is. */
            health: components["schemas"]["Health"];
            /** @description `{organization}-{env type}`. */
            name: string;
            /** @description Its Organization. */
            organization: string;
            /** @description Names of the policies that bind it. */
            policies: string[];
            /** @description The repository's clone URL. */
            repository: string;
            /** @description Qualified names of its vclusters. */
            vclusters: string[];
        };
        /** @description Carries out a change, as planned. */
        Execute: components["schemas"]["ApplicationCommand"] & {
            /**
             * @description The digest of the plan that the caller saw; refused with 409 when the
             *     plan would differ by now. Absent: carried out unseen.
             */
            plan?: string | null;
        };
        /** @description One fault with its place. */
        Fault: {
            /** @description Repository path of the file, where there is one. */
            file?: string | null;
            /**
             * Format: int32
             * @description Line in the file, from 1.
             */
            line?: number | null;
            /** @description What is wrong. */
            message: string;
            /** @description JSON pointer (RFC 6901) into the request or the file's document. */
            pointer?: string | null;
        };
        /** @description One known vulnerability of one component. */
        Finding: {
            /** @description What others call it. */
            aliases?: string[];
            /** @description The component, as its package is called. */
            component: string;
            /**
             * @description The versions that have it no more, one for each line of versions that is
             *     mended; empty where no version is.
             */
            fixedIn?: string[];
            /** @description The record's id, such as `GHSA-…`, `RUSTSEC-…` or `CVE-…`. */
            id: string;
            /** @description From what was asked about to the component, each in words. */
            path: string[];
            /** @description The component's package URL. */
            purl: string;
            /**
             * Format: double
             * @description The base score from 0 to 10 that the severity stands on, if it stands on one.
             */
            score?: number | null;
            /** @description How bad it is. */
            severity: components["schemas"]["Severity"];
            /** @description What is wrong, in a line. */
            summary?: string;
            /** @description The version of the component. */
            version: string;
        };
        /** @description One field of the install form. */
        FormField: {
            /** @description What it is if nothing is given. */
            default?: Record<string, unknown> | null;
            /** @description A sentence of help. */
            description?: string | null;
            /** @description How it is asked for. */
            kind: components["schemas"]["FormFieldKind"];
            /**
             * Format: double
             * @description For numbers: the most.
             */
            maximum?: number | null;
            /**
             * Format: double
             * @description For numbers: the least.
             */
            minimum?: number | null;
            /** @description For `choice`: what may be chosen. */
            options?: Record<string, unknown>[];
            /** @description For text: a regular expression (ECMA-262). */
            pattern?: string | null;
            /** @description Each Environment has its own value. */
            perEnvironment: boolean;
            /** @description JSON pointer into the config. */
            pointer: string;
            /** @description Whether it must be given. */
            required: boolean;
            /** @description Kept in the vault; never shown again. */
            secret: boolean;
            /** @description Its label. */
            title: string;
        };
        /**
         * @description How a field is asked for.
         * @enum {string}
         */
        FormFieldKind: "text" | "password" | "integer" | "number" | "toggle" | "choice" | "text-list" | "application-reference" | "domain" | "yaml";
        /** @description A document of GraphQL, and with what to execute which of its operations. */
        GraphqlRequest: {
            /** @description Not heeded. */
            extensions?: Record<string, unknown> | null;
            /** @description The operation that is meant, where the document has several. */
            operationName?: string | null;
            /** @description The document, at most 16 KiB. */
            query: string;
            /** @description The operation's variables. */
            variables?: Record<string, unknown> | null;
        };
        /** @description How something is, in one word with its cause and freshness. */
        Health: {
            /** @description The cause, for people: which object, what it said, last log lines. */
            message: string;
            /** @description When the newest fact behind this was observed. */
            observedAt: string;
            /**
             * @description Installing, Running, Updating, Degraded, Failed, Paused,
             *     PendingApproval, Stale or Deleting; for Organizations and Environments
             *     the same words where they apply.
             */
            phase: string;
            /** @description One CamelCase word for programs. */
            reason: string;
            /** @description When `phase` last changed. */
            since: string;
        };
        /** @description Something of the machine they run on that an Application's pods take. */
        HostAccessView: {
            /**
             * @description The field that takes it: `hostNetwork`, `hostPID`, `hostIPC`, `hostPath`, `privileged`
             *     or `hostPort`.
             */
            kind: string;
            /** @description For `hostPath`: the folders and files. */
            paths?: string[];
            /** @description For `hostPort`: the ports. */
            ports?: number[];
            /** @description Why the Blueprint cannot do without it. */
            reason: string;
        };
        /** @description Installs a Blueprint as an Application. */
        Install: {
            /** @description `bp-…`. */
            blueprint: string;
            /**
             * @description The config; values of secret properties are given plainly here, and only
             *     here: they go to the vault, and Git receives a reference.
             */
            config?: Record<string, unknown>;
            /**
             * @description Alias → an Application of the Environment that shall serve it; a new one
             *     is installed for every alias that is not named.
             */
            dependencies?: {
                [key: string]: string;
            };
            /** @description The Application's name. */
            name: string;
            /** @description An overlay of the Blueprint. */
            size?: string | null;
            /** @description The Blueprint's source; `catalog` if absent. */
            source?: string | null;
            /** @description SemVer; the newest whose dependencies can be met, if absent. */
            version?: string | null;
        };
        /** @description An invitation that was made. */
        Invitation: {
            /** @description The commit that gave the role, where one was given. */
            commit?: string | null;
            /** @description When the link ends. */
            expiresAt?: string | null;
            /**
             * @description The one-time link on which they set a password; absent when the user
             *     had one already.
             */
            url?: string | null;
            /** @description The user. */
            username: string;
        };
        /**
         * @description Invites a user to the Sovereign, and into an Organization where the path
         *     names one.
         */
        Invite: {
            /** @description The user's mail address. */
            email?: string | null;
            /** @description Environments that an org-developer may change; all if empty. */
            environments?: string[];
            role?: components["schemas"]["OrganizationRole"] | null;
            /** @description Whether they shall administer the whole Sovereign; only on `/users`. */
            sovereignAdmin?: boolean;
            /** @description The new user's name; an existing user is only given the role. */
            username: string;
        };
        /**
         * @description Somebody whose signatures by certificates count for one source. Of the subject and
         *     of the issuer there is either the text itself or an expression.
         */
        KeylessSignerView: {
            /** @description The OpenID Connect issuer that must have vouched for them. */
            issuer?: string | null;
            /** @description A regular expression that must be found in it. */
            issuerRegexp?: string | null;
            /** @description `catalog`, `catalog-sovereign` or an Organization. */
            source: string;
            /** @description Whom the certificate must be made out to: a mail address or a URI. */
            subject?: string | null;
            /** @description A regular expression that must be found in it. */
            subjectRegexp?: string | null;
        };
        /** @description A line that a container of an Application wrote. */
        LogLine: {
            /** @description The container. */
            container: string;
            /**
             * @description Whether the container did not write it, but it is said of the container: that it
             *     waits to start again.
             */
            isNotice?: boolean;
            /** @description What was written, without the line's end. */
            line: string;
            /** @description The pod. */
            pod: string;
            /** @description When it was written, as precise as the node says; absent if it does not. */
            time?: string | null;
        };
        /** @description Who is asking, and what they may do. */
        Me: {
            /** @description The user's mail address. */
            email?: string | null;
            /** @description Their Organizations and roles, by name. */
            organizations: components["schemas"]["Membership"][];
            /** @description Whether they administer the whole Sovereign. */
            sovereignAdmin: boolean;
            /** @description The user's name. */
            username: string;
        };
        /** @description One role of a user. */
        Membership: {
            /** @description Environments that an org-developer may change; all if empty. */
            environments?: string[];
            /** @description The Organization. */
            organization: string;
            /** @description What they may do there. */
            role: components["schemas"]["OrganizationRole"];
        };
        /** @description A member. */
        MemberView: {
            /** @description Environments that an org-developer may change; all if empty. */
            environments?: string[];
            /** @description A group of the identity provider. */
            group?: string | null;
            /** @description What they may do. */
            role: components["schemas"]["OrganizationRole"];
            /** @description The user; or `group` is given. */
            user?: string | null;
        };
        /** @description A setting of an Application that an upgrade moves or drops. */
        MovedSetting: {
            /** @description JSON pointer into the config before. */
            from: string;
            /** @description JSON pointer into the config after; dropped if absent. */
            to?: string | null;
        };
        /** @description A Kubernetes object of an Application. */
        ObjectView: {
            /** @description Group and version. */
            apiVersion: string;
            /** @description Its kind. */
            kind: string;
            /** @description What it says about itself. */
            message?: string;
            /** @description Its name. */
            name: string;
            /** @description Its namespace; absent for cluster-wide kinds. */
            namespace?: string | null;
            /** @description When this was observed. */
            observedAt: string;
            /** @description Whether it is as wanted; absent for kinds without a state. */
            ready?: boolean | null;
        };
        /** @description Opens a pull request from a branch of an Environment's repository. */
        OpenPull: {
            /** @description What it carries, Markdown. */
            body?: string | null;
            /** @description The branch that brings the change. */
            branch: string;
            /** @description One line of at most 255 bytes; the subject of the branch's last commit if absent. */
            title?: string | null;
        };
        /**
         * @description What a member may do.
         * @enum {string}
         */
        OrganizationRole: "org-admin" | "org-developer" | "org-viewer" | "security-officer" | "billing-admin";
        /** @description An Organization. */
        OrganizationView: {
            /** @description A mail address. */
            contact?: string | null;
            /** @description The name that people read. */
            displayName: string;
            /** @description Its Environments, by name. */
            environments: string[];
            /** @description How it is. */
            health: components["schemas"]["Health"];
            /** @description Its members, by user name. */
            members: components["schemas"]["MemberView"][];
            /** @description Its slug. */
            name: string;
        };
        /** @description A list in a stable order. */
        Page_ApplicationSummary: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description The Blueprint. */
                blueprint: string;
                /** @description Its Environment. */
                environment: string;
                /** @description How it is. */
                health: components["schemas"]["Health"];
                /** @description Its name. */
                name: string;
                /** @description The Blueprint's source. */
                source: string;
                /** @description Where it is opened; absent without a page. */
                url?: string | null;
                /** @description The version wanted. */
                version: string;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_BlueprintCard: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description Where it belongs. */
                category?: string | null;
                /** @description Path of the icon below the API's host, where it has one. */
                icon?: string | null;
                /** @description The licence of what it installs. */
                license?: string | null;
                /** @description `bp-…`. */
                name: string;
                /** @description `catalog`, `catalog-sovereign` or an Organization. */
                source: string;
                /** @description One line about it. */
                tagline?: string | null;
                /** @description Words to find it by. */
                tags?: string[];
                /** @description What people call it. */
                title: string;
                /** @description The newest version. */
                version: string;
                /** @description All versions, newest first. */
                versions: string[];
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_BlueprintSourceView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description The Blueprints that have a folder in it. */
                blueprints: components["schemas"]["SourceBlueprintView"][];
                /**
                 * @description `Running`: all of it is published. `Failed`: some is not, for the problems.
                 *     `Degraded`: all of it is, and something in its path of the registry is refused.
                 *     `Stale`: the forge or the registry is away since `since`, and what was published
                 *     stays.
                 */
                health: components["schemas"]["Health"];
                /** @description What stands against publishing. */
                problems: components["schemas"]["SourceProblemView"][];
                /** @description When that commit was read first. */
                readAt?: string | null;
                /** @description What lies in its path of the registry and was not admitted, the first hundred. */
                refused: components["schemas"]["RefusedArtifactView"][];
                /** @description The clone URL of its repository. */
                repository: string;
                /** @description The commit that was read last. */
                revision?: string | null;
                /** @description Fingerprint of the key that signs what is published from it. */
                signer?: string | null;
                /** @description `catalog`, `catalog-sovereign` or an Organization. */
                source: string;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_BranchView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description When. */
                at: string;
                /** @description Who made the last commit. */
                author: string;
                /** @description The id of its last commit. */
                commit: string;
                /**
                 * Format: int64
                 * @description How many commits it has that `main` does not.
                 */
                commits: number;
                /** @description Its name, `{user}/…`. */
                name: string;
                /**
                 * Format: int64
                 * @description The open pull request that brings it to `main`.
                 */
                pullRequest?: number | null;
                /** @description The last commit's subject line. */
                subject: string;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_DeletionView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description When it ended; absent while it goes on. */
                endedAt?: string | null;
                /** @description Organization, Environment or Application. */
                kind: string;
                /** @description What was left behind, by name. */
                leftBehind?: string[];
                /** @description The object; an Application as `{environment}/{application}`. */
                name: string;
                /** @description When it was asked for. */
                startedAt: string;
                /** @description What is being waited for. */
                waitingFor?: string | null;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_EnvironmentView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /**
                 * Format: int32
                 * @description How many Applications it has.
                 */
                applications: number;
                /** @description The last commit that was applied to the vcluster. */
                appliedRevision?: string | null;
                /** @description Its stage. */
                envType: string;
                /** @description How it is. */
                health: components["schemas"]["Health"];
                /** @description `{organization}-{env type}`. */
                name: string;
                /** @description Its Organization. */
                organization: string;
                /** @description Names of the policies that bind it. */
                policies: string[];
                /** @description The repository's clone URL. */
                repository: string;
                /** @description Qualified names of its vclusters. */
                vclusters: string[];
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_MemberView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description Environments that an org-developer may change; all if empty. */
                environments?: string[];
                /** @description A group of the identity provider. */
                group?: string | null;
                /** @description What they may do. */
                role: components["schemas"]["OrganizationRole"];
                /** @description The user; or `group` is given. */
                user?: string | null;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_OrganizationView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description A mail address. */
                contact?: string | null;
                /** @description The name that people read. */
                displayName: string;
                /** @description Its Environments, by name. */
                environments: string[];
                /** @description How it is. */
                health: components["schemas"]["Health"];
                /** @description Its members, by user name. */
                members: components["schemas"]["MemberView"][];
                /** @description Its slug. */
                name: string;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_PolicyView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description The Environments. */
                environments: string[];
                /** @description Its name. */
                name: string;
                /**
                 * @description The EnvironmentPolicy rules, as `docs/spec/environment-policy.md` has
                 *     them.
                 */
                rules: Record<string, unknown>[];
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_ProvisioningSummary: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description When. */
                begunAt?: string | null;
                /** @description Who began that job. */
                by?: string | null;
                /** @description When it ended. */
                endedAt?: string | null;
                /** @description Its domain. */
                fqdn: string;
                /** @description Code of its region. */
                region?: string | null;
                resources?: components["schemas"]["ResourceCount"] | null;
                /** @description Where it stands. */
                state: components["schemas"]["ProvisioningState"];
                /** @description The step that is under way, or failed. */
                step?: string | null;
                task?: components["schemas"]["ProvisioningTask"] | null;
                /** @description Why nothing else is known of it. */
                unreadable?: string | null;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_PullRequestView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description Who approved it. */
                approvals: string[];
                /** @description Who opened it. */
                author: string;
                /** @description What still stands against merging, one sentence each; empty: mergeable. */
                blockedBy: string[];
                /** @description What it carries, Markdown. */
                body: string;
                /** @description When. */
                createdAt: string;
                /** @description A unified diff. */
                diff?: string | null;
                /** @description Its Environment. */
                environment: string;
                /** @description The branch that it brings: `{user}/…` is that user's, `catalyst/…` a command's. */
                head: string;
                /**
                 * Format: int64
                 * @description Its number in the repository.
                 */
                number: number;
                /** @description open, merged or closed. */
                state: string;
                /** @description Its title. */
                title: string;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_Revision: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description Whether the vcluster runs this commit now. */
                applied: boolean;
                /** @description When. */
                at: string;
                /** @description Who made the change. */
                author: string;
                /** @description The author's mail address. */
                authorEmail: string;
                /**
                 * @description `Catalyst-Command`, where the change came through a command; a plain
                 *     push has none.
                 */
                command?: string | null;
                /** @description The commit's id. */
                commit: string;
                /**
                 * @description The user who pushed or merged it, as the forge knew them; the author of a push
                 *     is free text. Absent for commands, whose author is the user, and where unknown.
                 */
                pushedBy?: string | null;
                /** @description The subject line. */
                subject: string;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_UpgradeView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description The Blueprint. */
                blueprint: string;
                /** @description The cause, for people. */
                message: string;
                /** @description Its name. */
                name: string;
                /** @description When the newest fact behind this was observed. */
                observedAt: string;
                /** @description The Organization; absent: all. */
                organization?: string | null;
                /** @description Progressing, Stopped, Cancelled or Completed. */
                phase: string;
                /** @description In whose name the Applications are changed. */
                requestedBy: string;
                /** @description The Blueprint's source. */
                source: string;
                /** @description The version that its Applications shall have. */
                to: string;
                /**
                 * Format: int32
                 * @description The wave that it is at, counted from 1; absent before it begins.
                 */
                wave?: number | null;
                /** @description All waves, in order. */
                waves: components["schemas"]["WaveView"][];
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /** @description A list in a stable order. */
        Page_UserView: {
            /** @description The items, in the order that the operation documents. */
            items: {
                /** @description Whether they have set a password yet. */
                active: boolean;
                /** @description The user's mail address. */
                email?: string | null;
                /** @description Their Organizations and roles. */
                organizations: components["schemas"]["Membership"][];
                /** @description Whether they administer the whole Sovereign. */
                sovereignAdmin: boolean;
                /** @description The user's name. */
                username: string;
            }[];
            /** @description Pass as `after` to read on; absent on the last page. */
            next?: string | null;
        };
        /**
         * @description What happens to something.
         * @enum {string}
         */
        PlannedAction: "create" | "update" | "delete" | "none";
        /** @description An Application of a plan. */
        PlannedApplication: {
            /** @description What happens. */
            action: components["schemas"]["PlannedAction"];
            /** @description The alias that `alternatives` are for. */
            alias?: string | null;
            /** @description Existing Applications that could serve instead of a new one. */
            alternatives?: string[];
            /** @description Why it is part of this: asked for, or whose dependency, under what alias. */
            because: string;
            /** @description The Blueprint. */
            blueprint: string;
            /** @description The version before it, where it differs. */
            fromVersion?: string | null;
            /** @description What of the machines they run on its pods take, as the Blueprint declares it. */
            hostAccess?: components["schemas"]["HostAccessView"][];
            /** @description What becomes of settings that the version after the change has otherwise. */
            moved?: components["schemas"]["MovedSetting"][];
            /** @description Its name. */
            name: string;
            /** @description The Blueprint's source. */
            source: string;
            /** @description The version after the change. */
            version: string;
        };
        /** @description A file of a plan. */
        PlannedFile: {
            /** @description What happens. */
            action: components["schemas"]["PlannedAction"];
            /** @description A unified diff. */
            diff: string;
            /** @description Its path in the repository. */
            path: string;
        };
        /** @description A Kubernetes object of a plan. */
        PlannedObject: {
            /** @description What happens. */
            action: components["schemas"]["PlannedAction"];
            /** @description Group and version. */
            apiVersion: string;
            /** @description The Application it belongs to. */
            application: string;
            /** @description What changes, field by field, for people; secret values are never in it. */
            diff?: string;
            /** @description Its kind. */
            kind: string;
            /**
             * @description What makes it, as `KIND NAME`, where nobody applies it: the StatefulSet of a
             *     claim, the ExternalSecret of a Secret.
             */
            madeBy?: string | null;
            /** @description Its name. */
            name: string;
            /** @description Its namespace; absent for cluster-wide kinds. */
            namespace?: string | null;
            /** @description The storage that a claim of a StatefulSet asks for, such as `8Gi`. */
            size?: string | null;
        };
        /** @description What a plan would do with one resource of the cloud. */
        PlannedResource: {
            /** @description create, update, delete, replace, … */
            action: string;
            /** @description Address in the module. */
            address: string;
            /** @description Whether the Sovereign stands on it and would lose it: `allowDestroy` is needed. */
            loses?: boolean;
        };
        /**
         * @description What a fleet upgrade would do to one Application, as things stand now; what it does
         *     is planned anew when its turn comes.
         */
        PlannedUpgrade: {
            /** @description Its name. */
            application: string;
            /**
             * Format: int32
             * @description How many Kubernetes objects come.
             */
            creates: number;
            /**
             * Format: int32
             * @description How many go.
             */
            deletes: number;
            /** @description Its Environment. */
            environment: string;
            /** @description The version that it has. */
            from: string;
            /** @description What becomes of settings that the new version has otherwise. */
            moved?: components["schemas"]["MovedSetting"][];
            /** @description Policies that turn this into a pull request, for which the wave waits. */
            policies?: string[];
            /**
             * Format: int32
             * @description How many change.
             */
            updates: number;
            /** @description What the caller should know but need not mend. */
            warnings?: string[];
        };
        /** @description Applications that are upgraded at the same time. */
        PlannedWave: {
            /** @description Which. */
            applications: components["schemas"]["PlannedUpgrade"][];
            /** @description The stage of their Environments. */
            stage: string;
        };
        /** @description Plans a Sovereign. What is absent stays. */
        PlanSovereign: {
            /** @description Another description of the same Sovereign. */
            config?: Record<string, unknown> | null;
            /** @description Credentials that take the place of those given before. */
            credentials?: components["schemas"]["SovereignCredentials"];
            /**
             * @description Whether everything that was made was removed by hand: a token of a project that
             *     has nothing of it is refused otherwise.
             */
            removedByHand?: boolean;
        };
        /** @description What a change would do, object by object. Immutable; named by its digest. */
        PlanView: {
            /** @description Applications that come, change or go, the asked-for one first. */
            applications: components["schemas"]["PlannedApplication"][];
            /**
             * @description `sha256:…` over what Git and the catalogue say of everything below; how far a
             *     rollout is, and warnings, are no part of it.
             */
            digest: string;
            /** @description The Environment. */
            environment: string;
            /** @description Files of the repository that change. */
            files: components["schemas"]["PlannedFile"][];
            /**
             * @description Kubernetes objects that change, in the order they are applied; after each what
             *     it makes anew.
             */
            objects: components["schemas"]["PlannedObject"][];
            /** @description Whether a policy turns this into a pull request, and which. */
            policies?: string[];
            /** @description The subject line that the commit would have. */
            subject: string;
            /** @description What the caller should know but need not mend. */
            warnings?: string[];
        };
        /** @description A policy and the Environments it binds. */
        PolicyView: {
            /** @description The Environments. */
            environments: string[];
            /** @description Its name. */
            name: string;
            /**
             * @description The EnvironmentPolicy rules, as `docs/spec/environment-policy.md` has
             *     them.
             */
            rules: Record<string, unknown>[];
        };
        /**
         * @description `application/problem+json`: what was attempted, on what, why it failed, and
         *     what to do next.
         */
        Problem: {
            /** @description Why it failed, in a sentence or two. */
            detail: string;
            /** @description Every single fault, where there are several or where they have a place. */
            faults?: components["schemas"]["Fault"][];
            /** @description What to do next. */
            next?: string | null;
            /**
             * Format: int32
             * @description The HTTP status.
             */
            status: number;
            /** @description What was attempted, and on what: "Install wiki into acme-dev". */
            title: string;
            /**
             * @description A stable word for programs, such as `dependency-conflict`; RFC 9457's
             *     `type` is this behind `about:catalyst/`.
             */
            type: string;
        };
        /**
         * @description Where a Sovereign that is provisioned stands.
         * @enum {string}
         */
        ProvisioningState: "running" | "cancelling" | "interrupted" | "planned" | "provisioned" | "failed" | "cancelled" | "destroyed" | "archived" | "unreadable";
        /** @description One step of provisioning. */
        ProvisioningStep: {
            /** @description When it ended, or began where it has not ended. */
            at?: string | null;
            /**
             * Format: int64
             * @description How long it usually takes.
             */
            expectedSeconds: number;
            /** @description Its name, such as `wait-ssh`. */
            name: string;
            /**
             * Format: int64
             * @description How long it took.
             */
            seconds?: number | null;
            /** @description Where it stands. */
            state: components["schemas"]["ProvisioningStepState"];
            /** @description What it does, for people. */
            title: string;
            /** @description Versions that it used. */
            versions: {
                [key: string]: string;
            };
        };
        /**
         * @description Where a step stands.
         * @enum {string}
         */
        ProvisioningStepState: "pending" | "running" | "done" | "failed" | "interrupted";
        /** @description A Sovereign that is provisioned, in lists. */
        ProvisioningSummary: {
            /** @description When. */
            begunAt?: string | null;
            /** @description Who began that job. */
            by?: string | null;
            /** @description When it ended. */
            endedAt?: string | null;
            /** @description Its domain. */
            fqdn: string;
            /** @description Code of its region. */
            region?: string | null;
            resources?: components["schemas"]["ResourceCount"] | null;
            /** @description Where it stands. */
            state: components["schemas"]["ProvisioningState"];
            /** @description The step that is under way, or failed. */
            step?: string | null;
            task?: components["schemas"]["ProvisioningTask"] | null;
            /** @description Why nothing else is known of it. */
            unreadable?: string | null;
        };
        /**
         * @description What a job does.
         * @enum {string}
         */
        ProvisioningTask: "plan" | "provision" | "destroy" | "archive" | "restore";
        /** @description A Sovereign that is provisioned, whole. */
        ProvisioningView: components["schemas"]["ProvisioningSummary"] & {
            /** @description The description, without credentials. */
            config: Record<string, unknown>;
            /** @description Why the last job failed, or did not do what was planned. */
            failure?: string | null;
            /** @description What to do next. */
            next?: string | null;
            /** @description What the module gave, such as `console_url`. */
            outputs: Record<string, unknown>;
            /** @description Digest of that plan, by which it is agreed to; absent where there was none. */
            planDigest?: string | null;
            /** @description What the last plan would change, where there was one. */
            planned: components["schemas"]["PlannedResource"][];
            /** @description The steps, in their order. */
            steps: components["schemas"]["ProvisioningStep"][];
            /** @description What it is without, or will be, in words; `next` begins with it. */
            without?: string | null;
        };
        /** @description A pull request in an Environment's repository. */
        PullRequestView: {
            /** @description Who approved it. */
            approvals: string[];
            /** @description Who opened it. */
            author: string;
            /** @description What still stands against merging, one sentence each; empty: mergeable. */
            blockedBy: string[];
            /** @description What it carries, Markdown. */
            body: string;
            /** @description When. */
            createdAt: string;
            /** @description A unified diff. */
            diff?: string | null;
            /** @description Its Environment. */
            environment: string;
            /** @description The branch that it brings: `{user}/…` is that user's, `catalyst/…` a command's. */
            head: string;
            /**
             * Format: int64
             * @description Its number in the repository.
             */
            number: number;
            /** @description open, merged or closed. */
            state: string;
            /** @description Its title. */
            title: string;
        };
        /** @description What the check said. */
        PushAnswer: {
            /** @description Whether refs may move. */
            allowed: boolean;
            /** @description Lines for the pusher. */
            messages: string[];
        };
        /** @description An artifact that lies in the registry and is not a Blueprint of the source. */
        RefusedArtifactView: {
            /** @description What to do about it. */
            fix: string;
            /** @description The Blueprint that its repository is named after. */
            name: string;
            /** @description Why it was not admitted. */
            reason: string;
            /** @description Its tag. */
            version: string;
        };
        /** @description Asks the Sovereign to admit an artifact that lies in its registry. */
        RegisterBlueprint: {
            /** @description `bp-…`. */
            name: string;
            /** @description `catalog`, `catalog-sovereign` or an Organization. */
            source: string;
            /** @description SemVer, the artifact's tag. */
            version: string;
        };
        /** @description Where a registry tells that something came or went, and with what; one for all sources. */
        RegistryHook: {
            /** @description What the registry shows with each, as `Authorization: Bearer …`. */
            token: string;
            /** @description The address that notifications are posted to. */
            url: string;
        };
        /** @description Names something that is gone. */
        Removed: {
            /** @description The kind as in [`StreamItem`]: organization, environment, application… */
            kind: string;
            /** @description The name; an Application as `{environment}/{application}`. */
            name: string;
            /** @description The Organization it belonged to, which decides who hears of it. */
            organization?: string | null;
        };
        /** @description A file of that folder. */
        RenderedFile: {
            /** @description Path below the folder, with slashes. */
            path: string;
            /** @description Content. */
            text: string;
        };
        /** @description What must lie in the Git repository of a Sovereign before it is provisioned. */
        RenderedSovereign: {
            /** @description Its files, in the order of their paths. */
            files: components["schemas"]["RenderedFile"][];
            /** @description The folder of the repository, such as `clusters/omantel.example`. */
            folder: string;
            /** @description What the Sovereign will be without, in words; absent where nothing is left out. */
            without?: string | null;
        };
        /** @description Asks for the files of a Sovereign in its Git repository; nothing is begun or kept. */
        RenderSovereign: {
            /** @description What `sovereign.yaml` says, as provisioning takes it. */
            config: Record<string, unknown>;
        };
        /** @description How many resources of the cloud are done. */
        ResourceCount: {
            /**
             * Format: int64
             * @description Done.
             */
            done: number;
            /**
             * Format: int64
             * @description Of so many.
             */
            total: number;
        };
        /**
         * @description Goes on with a Sovereign. What is absent stays. What was only to be planned, and has
         *     not been to the end, is planned.
         */
        ResumeSovereign: {
            /**
             * @description The Sovereign's domain once more, where servers, networks, load balancers or volumes
             *     of it may be deleted or replaced: no plan that does so is carried out without.
             */
            allowDestroy?: string | null;
            /**
             * @description Another description of the same Sovereign. Where a plan was asked for last, or
             *     every step is done, that is planned first; else it is planned and applied anew.
             */
            config?: Record<string, unknown> | null;
            /**
             * @description Whether what is planned shall be done: needed once a plan that was asked for has
             *     ended, since this is what costs money, and refused before. Nothing is done where
             *     it is planned otherwise then: it ends as planned again, with the new plan shown.
             */
            create?: boolean;
            /** @description Credentials that take the place of those given before. */
            credentials?: components["schemas"]["SovereignCredentials"];
            /** @description The `planDigest` of the plan that shall be done; without it, the one shown last. */
            plan?: string | null;
            /**
             * @description Whether everything that was made was removed by hand: a token of a project that
             *     has nothing of it is refused otherwise.
             */
            removedByHand?: boolean;
        };
        /** @description A commit that concerns an Application. */
        Revision: {
            /** @description Whether the vcluster runs this commit now. */
            applied: boolean;
            /** @description When. */
            at: string;
            /** @description Who made the change. */
            author: string;
            /** @description The author's mail address. */
            authorEmail: string;
            /**
             * @description `Catalyst-Command`, where the change came through a command; a plain
             *     push has none.
             */
            command?: string | null;
            /** @description The commit's id. */
            commit: string;
            /**
             * @description The user who pushed or merged it, as the forge knew them; the author of a push
             *     is free text. Absent for commands, whose author is the user, and where unknown.
             */
            pushedBy?: string | null;
            /** @description The subject line. */
            subject: string;
        };
        /** @description A commit with what it changed in the Application's folder. */
        RevisionDetail: components["schemas"]["Revision"] & {
            /** @description A unified diff. */
            diff: string;
        };
        /** @description Gives a member a role. */
        SetRole: {
            /** @description Environments that an org-developer may change; all if empty. */
            environments?: string[];
            /** @description What they may do. */
            role: components["schemas"]["OrganizationRole"];
        };
        /**
         * @description How bad it is, by CVSS where there is a vector, else by the database's own word.
         * @enum {string}
         */
        Severity: "unknown" | "low" | "medium" | "high" | "critical";
        /** @description How many findings there are of each severity. */
        SeverityCounts: {
            /**
             * Format: int32
             * @description Critical ones.
             */
            critical: number;
            /**
             * Format: int32
             * @description High ones.
             */
            high: number;
            /**
             * Format: int32
             * @description Low ones.
             */
            low: number;
            /**
             * Format: int32
             * @description Medium ones.
             */
            medium: number;
            /**
             * Format: int32
             * @description Those whose severity nobody says.
             */
            unknown: number;
        };
        /** @description A Blueprint that has a folder in the repository of a source. */
        SourceBlueprintView: {
            /** @description `bp-…`. */
            name: string;
            /** @description The version of the folder, once it is published. */
            version?: string | null;
            /** @description Versions that are withdrawn, with the reason. */
            yanked?: {
                [key: string]: string;
            };
        };
        /** @description Something that stands against publishing. */
        SourceProblemView: {
            /** @description Path from the repository's root. */
            file: string;
            /** @description What to do about it. */
            fix: string;
            /**
             * Format: int32
             * @description Line, counted from 1, where it could be told.
             */
            line?: number | null;
            /** @description What is wrong. */
            message: string;
            /** @description The rule of lint, or one word of its own. */
            rule: string;
        };
        /**
         * @description What is needed to provision and is no part of the description. Kept in the vault
         *     until the Sovereign is destroyed, and never answered.
         */
        SovereignCredentials: {
            /** @description Password or token of that user. */
            gitPassword?: string | null;
            /** @description User of the Git repository, where `gitCredentials` is true. */
            gitUsername?: string | null;
            /** @description API token of the Hetzner Cloud project, with the right to read and write. */
            hetznerToken?: string | null;
            /** @description Private key of `sshPublicKey`, in OpenSSH's form, without a passphrase. */
            sshPrivateKey?: string | null;
        };
        /** @description The Sovereign and where its surfaces are. Anybody may read it. */
        SovereignView: {
            /** @description Where the surfaces are. */
            addresses: components["schemas"]["Addresses"];
            /** @description The domain below which Applications are reached. */
            domain: string;
            /**
             * @description Stages for which it has a host cluster, in promotion order: poc, dev,
             *     uat, stg, prod.
             */
            envTypes: string[];
            /** @description Its host clusters. */
            hostClusters: string[];
            /**
             * @description Who may without a key of their own, by certificates that hold against the
             *     trusted root.
             */
            keylessSigners?: components["schemas"]["KeylessSignerView"][];
            /** @description Its name. */
            name: string;
            /** @description Who may publish Blueprints, by source. */
            trustedSigners: components["schemas"]["TrustedSignerView"][];
            /** @description The version of Catalyst that serves this. */
            version: string;
        };
        /** @description Begins a fleet upgrade, as planned. */
        StartUpgrade: components["schemas"]["UpgradeRequest"] & {
            /**
             * @description The digest of the plan that the caller saw; refused with 409 when the plan would
             *     differ by now. Absent: begun unseen.
             */
            plan?: string | null;
        };
        /**
         * @description One change of the read model. On the wire (`text/event-stream`) `id` is the
         *     stream's position, `event` is `change`, and `data` is this as JSON; a client
         *     that comes back with `Last-Event-ID` misses nothing, or is told `reset` as
         *     the event's name and must read everything anew.
         */
        StreamItem: {
            /** @description An Organization came or changed. */
            item: components["schemas"]["OrganizationView"];
            /** @enum {string} */
            kind: "organization";
        } | {
            /** @description An Environment came or changed. */
            item: components["schemas"]["EnvironmentView"];
            /** @enum {string} */
            kind: "environment";
        } | {
            /** @description An Application came or changed. */
            item: components["schemas"]["ApplicationView"];
            /** @enum {string} */
            kind: "application";
        } | {
            /** @description A Blueprint came or changed. */
            item: components["schemas"]["BlueprintCard"];
            /** @enum {string} */
            kind: "blueprint";
        } | {
            /** @description A source of Blueprints came or changed. */
            item: components["schemas"]["BlueprintSourceView"];
            /** @enum {string} */
            kind: "blueprintSource";
        } | {
            /** @description A policy came or changed. */
            item: components["schemas"]["PolicyView"];
            /** @enum {string} */
            kind: "policy";
        } | {
            /** @description A pull request came or changed. */
            item: components["schemas"]["PullRequestView"];
            /** @enum {string} */
            kind: "pullRequest";
        } | {
            /** @description A deletion went on. */
            item: components["schemas"]["DeletionView"];
            /** @enum {string} */
            kind: "deletion";
        } | {
            /** @description A fleet upgrade came or went on. */
            item: components["schemas"]["UpgradeView"];
            /** @enum {string} */
            kind: "upgrade";
        } | {
            /** @description Something is gone. */
            item: components["schemas"]["Removed"];
            /** @enum {string} */
            kind: "removed";
        };
        /** @description A key whose signatures count for one source. */
        TrustedSignerView: {
            /** @description `sha256:…` of the key's DER. */
            fingerprint: string;
            /** @description PEM. */
            publicKey: string;
            /** @description `catalog`, `catalog-sovereign` or an Organization. */
            source: string;
        };
        /** @description Adds a trusted signer. */
        TrustSigner: {
            /** @description PEM, P-256. */
            publicKey: string;
            /** @description `catalog`, `catalog-sovereign` or an Organization. */
            source: string;
        };
        /** @description A fleet upgrade that was accepted: in Git, not necessarily begun yet. */
        UpgradeAccepted: {
            /** @description The commit that declares it. */
            commit?: string | null;
            /** @description The name by which it is asked after. */
            name: string;
            /** @description The digest of its plan. */
            plan: string;
            /** @description The repository that declares it, `owner/name`. */
            repository: string;
        };
        /** @description An Application of a fleet upgrade and how far it is. */
        UpgradedApplicationView: {
            /** @description Its name. */
            application: string;
            /** @description The commit that gave it the version. */
            commit?: string | null;
            /** @description Its Environment. */
            environment: string;
            /** @description The version that it had. */
            from: string;
            /** @description The cause, for people. */
            message?: string;
            /**
             * Format: int64
             * @description The pull request that brings the version.
             */
            pullRequest?: number | null;
            /** @description Since when it is in this state. */
            since?: string | null;
            /** @description Waiting, Proposed, RollingOut, Done, Left or Failed. */
            state: string;
        };
        /** @description What a fleet upgrade would do. */
        UpgradePlanView: {
            /** @description Applications that are left out, and why. */
            blocked?: components["schemas"]["BlockedUpgrade"][];
            /** @description The Blueprint. */
            blueprint: string;
            /**
             * @description `sha256:…` over everything below and the plan of each Application, but for
             *     warnings.
             */
            digest: string;
            /** @description The Organization; absent: all. */
            organization?: string | null;
            /** @description The Blueprint's source. */
            source: string;
            /** @description The version that they shall have. */
            to: string;
            /** @description One after the other. */
            waves: components["schemas"]["PlannedWave"][];
        };
        /** @description Which Applications shall have which version, and in what order. */
        UpgradeRequest: {
            /**
             * Format: int32
             * @description The most Applications that are upgraded at a time, 1 to 500; all of a stage if absent.
             */
            batch?: number | null;
            /** @description `bp-…`. */
            blueprint: string;
            /**
             * @description The Organization whose Applications are meant. If absent, those of all for a
             *     sovereign-admin, and for an org-admin those of the one Organization of theirs.
             */
            organization?: string | null;
            /** @description The Blueprint's source; `catalog` if absent. */
            source?: string | null;
            /**
             * Format: int32
             * @description Within how many seconds of its commit each must run, 1 to 86400; 1800 if absent.
             */
            timeoutSeconds?: number | null;
            /** @description The version that they shall have, SemVer. */
            to: string;
            /**
             * @description Stages in the order of their turn; of others nothing is upgraded. If empty: poc,
             *     dev, uat, stg, prod.
             */
            waves?: string[];
        };
        /** @description A fleet upgrade and how far it is. */
        UpgradeView: {
            /** @description The Blueprint. */
            blueprint: string;
            /** @description The cause, for people. */
            message: string;
            /** @description Its name. */
            name: string;
            /** @description When the newest fact behind this was observed. */
            observedAt: string;
            /** @description The Organization; absent: all. */
            organization?: string | null;
            /** @description Progressing, Stopped, Cancelled or Completed. */
            phase: string;
            /** @description In whose name the Applications are changed. */
            requestedBy: string;
            /** @description The Blueprint's source. */
            source: string;
            /** @description The version that its Applications shall have. */
            to: string;
            /**
             * Format: int32
             * @description The wave that it is at, counted from 1; absent before it begins.
             */
            wave?: number | null;
            /** @description All waves, in order. */
            waves: components["schemas"]["WaveView"][];
        };
        /** @description A user of the Sovereign. */
        UserView: {
            /** @description Whether they have set a password yet. */
            active: boolean;
            /** @description The user's mail address. */
            email?: string | null;
            /** @description Their Organizations and roles. */
            organizations: components["schemas"]["Membership"][];
            /** @description Whether they administer the whole Sovereign. */
            sovereignAdmin: boolean;
            /** @description The user's name. */
            username: string;
        };
        /** @description The database of known vulnerabilities (OSV records) that a Sovereign was given. */
        VulnerabilityDatabase: {
            /** @description The ecosystems that they are about. */
            ecosystems: string[];
            /** @description The same in a sentence, with what to do where something is to be done. */
            message: string;
            /** @description When the newest of its records was changed; absent where there is none. */
            modified?: string | null;
            /**
             * Format: int64
             * @description How many records are in use.
             */
            records: number;
            /** @description Whether it can be relied on. */
            state: components["schemas"]["DatabaseState"];
        };
        /**
         * @description The known vulnerabilities of a Blueprint's version or of an Application. That none
         *     is listed means that there is none only where the database is `current` and there
         *     are no gaps.
         */
        VulnerabilityReport: {
            /**
             * Format: int32
             * @description How many components could be compared.
             */
            components: number;
            /** @description How many findings there are of each severity. */
            counts: components["schemas"]["SeverityCounts"];
            /** @description What the components were compared with. */
            database: components["schemas"]["VulnerabilityDatabase"];
            /** @description The findings: the worst first, then by component and id. */
            findings: components["schemas"]["Finding"][];
            /** @description What could not be looked at, in sentences. */
            gaps: string[];
        };
        /** @description A wave and how far it is. */
        WaveView: {
            /** @description Its Applications. */
            applications: components["schemas"]["UpgradedApplicationView"][];
            /** @description The stage of its Environments. */
            stage: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    blueprint_source_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Organizations' of the caller; all for sovereign-admins. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_BlueprintSourceView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    blueprint_list: {
        parameters: {
            query?: {
                /** @description Those of this category only. */
                category?: string;
                /**
                 * @description Words, each of which fits the Blueprint's name, title, tagline, category or a
                 *     tag, whole or by its beginning, slips of the keyboard forgiven.
                 */
                q?: string;
                /** @description Those with this tag only. */
                tag?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The newest version of each. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_BlueprintCard"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    blueprint_register: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RegisterBlueprint"];
            };
        };
        responses: {
            /** @description Verified and admitted. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BlueprintCard"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    blueprint_get: {
        parameters: {
            query?: {
                /** @description SemVer; if absent the newest that is listed, or the newest where none is. */
                version?: string;
            };
            header?: never;
            path: {
                /** @description `bp-…`. */
                name: string;
                /** @description `catalog`, `catalog-sovereign` or an Organization. */
                source: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Blueprint. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BlueprintDetail"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    blueprint_icon: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `bp-…`. */
                name: string;
                /** @description `catalog`, `catalog-sovereign` or an Organization. */
                source: string;
                /** @description SemVer. */
                version: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The icon. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "image/svg+xml": string;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    blueprint_vulnerabilities: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `bp-…`. */
                name: string;
                /** @description `catalog`, `catalog-sovereign` or an Organization. */
                source: string;
                /** @description SemVer. */
                version: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The findings, and what could not be looked at. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VulnerabilityReport"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    push_check: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": Record<string, unknown>;
            };
        };
        responses: {
            /** @description Allowed, or not and why. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PushAnswer"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    deletion_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The deletions. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_DeletionView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    environment_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Environments. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_EnvironmentView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    environment_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Environment. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EnvironmentView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    environment_delete: {
        parameters: {
            query?: {
                /** @description `drop`: the Applications in it and their data go too. Refused while there are any if absent. */
                applications?: string;
            };
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In Git; the deletion goes on. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    application_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Applications. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_ApplicationSummary"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    application_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Application's name. */
                application: string;
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Application. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ApplicationView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revision_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Application's name. */
                application: string;
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The commits. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Revision"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revision_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Application's name. */
                application: string;
                /** @description The commit's id. */
                commit: string;
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The commit. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RevisionDetail"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    application_logs: {
        parameters: {
            query?: {
                /** @description Only this container's lines. */
                container?: string;
                /** @description Whether to go on with new lines as they come. */
                follow?: boolean;
                /** @description Whether each line comes as a JSON object with its time, pod and container. */
                json?: boolean;
                /** @description At most so many lines of the past from each container; 200 if absent. */
                tail?: number;
            };
            header?: never;
            path: {
                /** @description The Application's name. */
                application: string;
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Lines. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": components["schemas"]["LogLine"];
                    "text/plain": string;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    application_vulnerabilities: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Application's name. */
                application: string;
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The findings, and what could not be looked at. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VulnerabilityReport"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    branch_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The branches, without `main` and those that commands made. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_BranchView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_create: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Execute"];
            };
        };
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    environment_kubeconfig: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The kubeconfig. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/yaml": string;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    plan_create: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ApplicationCommand"];
            };
        };
        responses: {
            /** @description The plan. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PlanView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pull_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The pull requests. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_PullRequestView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pull_open: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["OpenPull"];
            };
        };
        responses: {
            /** @description It is open; `pullRequest` is its number. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pull_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
                /** @description Its number in the repository. */
                number: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The pull request. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PullRequestView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pull_approve: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
                /** @description Its number in the repository. */
                number: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The pull request, approved. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PullRequestView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pull_close: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
                /** @description Its number in the repository. */
                number: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The pull request, closed. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PullRequestView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pull_merge: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{organization}-{env type}`. */
                environment: string;
                /** @description Its number in the repository. */
                number: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    graphql_get: {
        parameters: {
            query: {
                /** @description Not heeded. */
                extensions?: string;
                /** @description The operation that is meant, where the document has several. */
                operationName?: string;
                /** @description The document, at most 16 KiB. */
                query: string;
                /** @description The operation's variables, a JSON object. */
                variables?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description `data`, and `errors` where a field was refused; each has the problem in `extensions.problem`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/graphql-response+json": Record<string, unknown>;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    graphql_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["GraphqlRequest"];
            };
        };
        responses: {
            /** @description `data`, and `errors` where a field was refused; each has the problem in `extensions.problem`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/graphql-response+json": Record<string, unknown>;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    graphql_schema_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The schema. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    hook_git: {
        parameters: {
            query?: never;
            header: {
                /** @description HMAC-SHA256 of the body, in hexadecimal. */
                "X-Gitea-Signature": string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": Record<string, unknown>;
            };
        };
        responses: {
            /** @description Taken. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    registry_hook_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The address and the token. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RegistryHook"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    hook_registry: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": Record<string, unknown>;
            };
        };
        responses: {
            /** @description Taken; what is not a repository of Blueprints is passed over. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    me_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The caller. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Me"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    openapi_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This document. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, unknown>;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    organization_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Organizations. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_OrganizationView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    organization_create: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateOrganization"];
            };
        };
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    organization_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Organization's slug. */
                organization: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Organization. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OrganizationView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    organization_delete: {
        parameters: {
            query?: {
                /** @description `drop`: the Applications in it and their data go too. Refused while there are any if absent. */
                applications?: string;
            };
            header?: never;
            path: {
                /** @description The Organization's slug. */
                organization: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In Git; the deletion goes on. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    organization_environment_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Organization's slug. */
                organization: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Environments. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_EnvironmentView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    environment_create: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Organization's slug. */
                organization: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateEnvironment"];
            };
        };
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    member_invite: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Organization's slug. */
                organization: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Invite"];
            };
        };
        responses: {
            /** @description The invitation. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Invitation"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    member_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Organization's slug. */
                organization: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The members. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_MemberView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    member_set: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Organization's slug. */
                organization: string;
                /** @description The user's name. */
                user: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetRole"];
            };
        };
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    member_remove: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Organization's slug. */
                organization: string;
                /** @description The user's name. */
                user: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    policy_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The policies. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_PolicyView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    policy_put: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The policy's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PolicyView"];
            };
        };
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    policy_delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The policy's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sovereign_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Sovereign. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SovereignView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    trusted_root_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A sigstore TrustedRoot. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, unknown>;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Sovereigns. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_ProvisioningSummary"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_create: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateSovereign"];
            };
        };
        responses: {
            /** @description The job is at work. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Sovereign. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_destroy: {
        parameters: {
            query?: {
                /** @description The Sovereign's domain once more: everything on it is destroyed, data included. */
                confirm?: string;
                /**
                 * @description Whether everything that was made was removed by hand: a token of a project that
                 *     has nothing of it is refused otherwise.
                 */
                removedByHand?: boolean;
            };
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job is at work. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_archive: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job is at work. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_cancel: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job was told. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_destroy_with: {
        parameters: {
            query?: {
                /** @description The Sovereign's domain once more: everything on it is destroyed, data included. */
                confirm?: string;
            };
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["DestroySovereign"] | null;
            };
        };
        responses: {
            /** @description The job is at work. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_events: {
        parameters: {
            query?: never;
            header?: {
                /** @description The position to go on from. */
                "Last-Event-ID"?: string | null;
            };
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Events; `data` is one JSON object. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": Record<string, unknown>;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_forget: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is forgotten. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_plan: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["PlanSovereign"] | null;
            };
        };
        responses: {
            /** @description The job is at work. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_restore: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job is at work. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_resume: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Sovereign's domain. */
                fqdn: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["ResumeSovereign"] | null;
            };
        };
        responses: {
            /** @description The job is at work. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProvisioningView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_render: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RenderSovereign"];
            };
        };
        responses: {
            /** @description The files. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RenderedSovereign"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    provisioning_schema: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The schema. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, unknown>;
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    stream_get: {
        parameters: {
            query?: never;
            header?: {
                /** @description The position to go on from. */
                "Last-Event-ID"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Events; `data` of each `change` is a StreamItem. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["StreamItem"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    signer_trust: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TrustSigner"];
            };
        };
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upgrade_plan: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpgradeRequest"];
            };
        };
        responses: {
            /** @description The plan. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UpgradePlanView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upgrade_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The fleet upgrades. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_UpgradeView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upgrade_start: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["StartUpgrade"];
            };
        };
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UpgradeAccepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upgrade_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The fleet upgrade's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The fleet upgrade. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UpgradeView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upgrade_cancel: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The fleet upgrade's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upgrade_resume: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The fleet upgrade's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In Git. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    user_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The users. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_UserView"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    user_remove: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The user's name. */
                user: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In Git; the user is gone. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    user_invite: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Invite"];
            };
        };
        responses: {
            /** @description The invitation. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Invitation"];
                };
            };
            /** @description Refused or failed. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
