"""How fast codecs are, measured side by side on this machine (`codec bench speed`)."""
