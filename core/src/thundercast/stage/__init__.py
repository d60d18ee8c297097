"""The stage loop: at-least-once, unordered delivery in; the effect of once, in order, out."""
