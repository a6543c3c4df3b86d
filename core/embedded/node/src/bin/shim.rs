//! Hosts one container or one pod's namespaces; started by the node, never by a person.

fn main() {
    catalyst_node::shim::main_if_shim();
    eprintln!("error: this program is started by the node, with a specification on standard input");
    std::process::exit(2);
}
