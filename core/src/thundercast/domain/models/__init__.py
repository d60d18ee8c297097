"""Online models. `base.Model` is their protocol, `registry` names them."""
