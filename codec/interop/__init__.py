"""Models and token files of other codecs: EnCodec, DAC, SNAC and Mimi. Importing this imports no PyTorch."""
