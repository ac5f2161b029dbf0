//! ERA-145 to ERA-165: which era a server speaks.
