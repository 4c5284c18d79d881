//! Whether a wish can be met, asked before it is made: what a page that asks for a confirmation
//! must know.

use super::changes::{lasting, limit, note};
use super::{NewBlock, NewOverride, Operator, OperatorError};

impl Operator {
    /// Whether limits can be given.
    ///
    /// # Errors
    ///
    /// A wish that cannot be.
    pub fn check_override(&self, wish: &NewOverride) -> Result<(), OperatorError> {
        limit("minute", wish.minute)?;
        limit("second", wish.second)?;
        self.is_in_force(&self.scope(wish.policy.as_deref())?)?;
        lasting(wish.lasting.as_deref())?;
        note(&wish.by, &wish.reason).map(|_| ())
    }

    /// Whether a block can be made.
    ///
    /// # Errors
    ///
    /// A wish that cannot be.
    pub fn check_block(&self, wish: &NewBlock) -> Result<(), OperatorError> {
        lasting(wish.lasting.as_deref())?;
        note(&wish.by, &wish.reason).map(|_| ())
    }
}
