// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { LowLevelCall } from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import { IMultiverse } from "../interfaces/IMultiverse.sol";

/// @notice ERC-20 calls to tokens that may be anything at all. What fails always says so: with the token's own error when
/// it gave one, else with one that names the token.
library Tokens {
    using LowLevelCall for address;
    using SafeERC20 for IERC20;

    /// @notice What `owner` has, refusing tokens that do not say: those without code too.
    /// @dev On the way of every deposit, twice: by hand it costs 250 gas less than by `abi.encodeCall`.
    function balanceOf(address token, address owner) internal view returns (uint256 amount) {
        bytes4 selector = IERC20.balanceOf.selector;
        bool hasAnswered;
        assembly ("memory-safe") {
            mstore(0x00, selector)
            mstore(0x04, and(owner, shr(96, not(0))))
            let succeeded := staticcall(gas(), token, 0x00, 0x24, 0x00, 0x20)
            hasAnswered := and(succeeded, gt(returndatasize(), 0x1f))
            amount := mload(0x00)
        }
        if (!hasAnswered) revert IMultiverse.InvalidToken(token);
    }

    /// @notice What `spender` may still take from `owner`; nothing when the token does not say.
    function allowance(address token, address owner, address spender) internal view returns (uint256) {
        bytes memory call = abi.encodeCall(IERC20.allowance, (owner, spender));
        (bool succeeded, bytes32 word, ) = token.staticcallReturn64Bytes(call);
        return succeeded && LowLevelCall.returnDataSize() >= 32 ? uint256(word) : 0;
    }

    /// @notice Moves `amount` from `owner`, who allowed it, to this contract.
    function take(address token, address owner, uint256 amount) internal {
        if (!IERC20(token).trySafeTransferFrom(owner, address(this), amount)) _fail(token);
    }

    /// @notice Moves `amount` of this contract's own to `to`.
    function give(address token, address to, uint256 amount) internal {
        if (!IERC20(token).trySafeTransfer(to, amount)) _fail(token);
    }

    /// @dev An error's encoding is four bytes and whole words; nothing else is worth passing on.
    function _fail(address token) private pure {
        if (LowLevelCall.returnDataSize() % 32 == 4) LowLevelCall.bubbleRevert();
        revert SafeERC20.SafeERC20FailedOperation(token);
    }
}
