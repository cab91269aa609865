// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { SignatureChecker } from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import { ICommitteeOracle } from "../interfaces/ICommitteeOracle.sol";
import { IMultiverse } from "../interfaces/IMultiverse.sol";
import { QuestionId } from "../types/QuestionId.sol";
import { QuestionKey } from "../types/QuestionKey.sol";
import { Oracle } from "./Oracle.sol";

/// @title An oracle that is a committee
contract CommitteeOracle is ICommitteeOracle, Oracle, EIP712 {
    bytes32 private constant VERDICT_TYPEHASH = keccak256("Verdict(bytes32 question,uint256 survivors)");

    constructor(IMultiverse multiverse_) Oracle(multiverse_) EIP712("Multiverse CommitteeOracle", "1") {}

    /// @inheritdoc ICommitteeOracle
    function digest(QuestionId question, uint256 survivors) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(VERDICT_TYPEHASH, question, survivors)));
    }

    /// @inheritdoc ICommitteeOracle
    function decodeTerms(bytes calldata terms) external pure returns (Terms memory) {
        return abi.decode(terms, (Terms));
    }

    /// @inheritdoc ICommitteeOracle
    function decodeProof(bytes calldata proof) external pure returns (Proof memory) {
        return abi.decode(proof, (Proof));
    }

    function _survivors(
        QuestionId question,
        QuestionKey calldata,
        bytes calldata terms,
        bytes calldata proof
    ) internal view override returns (uint256) {
        Terms memory committee = _terms(question, terms);
        try this.decodeProof(proof) returns (Proof memory decision) {
            _requireSigned(committee, decision, digest(question, decision.survivors));
            return decision.survivors;
        } catch {
            revert MalformedProof(question);
        }
    }

    function _terms(QuestionId question, bytes calldata terms) private view returns (Terms memory committee) {
        try this.decodeTerms(terms) returns (Terms memory decoded) {
            committee = decoded;
        } catch {
            revert MalformedTerms(question);
        }
        uint256 count = committee.members.length;
        if (committee.threshold <= count / 2 || committee.threshold > count) {
            revert ThresholdOutOfRange(committee.threshold, count);
        }
        address last = address(0);
        for (uint256 i = 0; i < count; ++i) {
            if (committee.members[i] <= last) revert MembersNotAscending(i);
            last = committee.members[i];
        }
    }

    /// @dev Members and signers both ascend, so one walk over both finds each signer among the members.
    function _requireSigned(Terms memory committee, Proof memory decision, bytes32 hash) private view {
        uint256 count = decision.signers.length;
        if (count < committee.threshold) revert TooFewSigners(count, committee.threshold);
        if (decision.signatures.length != count) revert SignatureCountMismatch(count, decision.signatures.length);

        address last = address(0);
        uint256 next = 0;
        for (uint256 i = 0; i < count; ++i) {
            address signer = decision.signers[i];
            if (signer <= last) revert SignersNotAscending(i);
            last = signer;

            while (next < committee.members.length && committee.members[next] < signer) ++next;
            if (next == committee.members.length || committee.members[next] != signer) revert NotMember(signer);
            if (!SignatureChecker.isValidSignatureNow(signer, hash, decision.signatures[i])) {
                revert InvalidSignature(signer);
            }
        }
    }
}
